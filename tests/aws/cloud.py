"""AWS on this machine, `ministack`, and the stack that template.yaml makes on it, beside a sandbox that is PortOne."""

import email
import email.policy
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from boto3.dynamodb.types import TypeDeserializer
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ROOT = Path(__file__).resolve().parents[2]
REGION = "ap-northeast-2"
ACCOUNT = "000000000000"
STACK = "billing-test"
DOMAIN = "sivera.example"
BUCKET = "packages"

# What the emulator takes for the account's own keys: they may do everything.
OWN_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# What functions ask for only to open their connections, without regard to the answer; so it is not granted.
WARMING = {
    ("NotifierRole", "dynamodb:GetItem", "table/billing-test-Subscriptions"),
    ("NotifierRole", "ses:GetAccount", "*"),
    ("PlannerRole", "dynamodb:GetItem", "table/billing-test-Subscriptions"),
    ("PlannerRole", "sqs:GetQueueAttributes", "billing-test-collect"),
}

# How long anything is waited for. Nothing here takes long; the machine may be busy.
PATIENCE = 120


def wait_for(what, look):
    """Answers with what `look` finds as soon as it finds something."""
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {PATIENCE} s; it looked like {look()!r}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def http(method, url, body=None, headers=None):
    """Status and body of an answer, whatever it is; JSON is read."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {"content-type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = answer.read().decode()
        return answer.status, json.loads(text) if text[:1] in ("{", "[") else text


class Process:
    """A program that ends with its test."""

    def __init__(self, command, log, **more):
        self.log = open(log, "w+b")
        self.process = subprocess.Popen(command, stderr=self.log, **more)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if self.process.stdout:
            self.process.stdout.close()


class PortOne(Process):
    """A sandbox that runs no function: its simulator of PortOne is what is used of it."""

    def __init__(self, work):
        ports = [part for port in ("api", "portone", "dynamodb", "console", "aws") for part in (f"--{port}-port", "0")]
        program = Path(os.environ["SANDBOX"])
        super().__init__([program, "serve", "--bare", *ports], work / "sandbox.log", stdout=subprocess.PIPE)
        self.ready = json.loads(self.process.stdout.readline())

    def console(self, path, body=None):
        status, answer = http("GET" if body is None else "POST", self.ready["console"] + path, body)
        assert status == 200, (path, status, answer)
        return answer

    def approvals(self):
        return self.console("/api/portone/ledger")["approvals"]


def logical(name):
    """What the template calls a role that is called `billing-test-WorkerRole-1A2B3C` in the account."""
    return name.removeprefix(f"{STACK}-").split("-")[0]


class Mailbox(Message):
    """Takes what SES sends, as a mail server does."""

    def __init__(self):
        super().__init__()
        self.mails = []
        self.server = Controller(self, hostname="127.0.0.1", port=free_port())
        self.server.start()

    def prepare_message(self, session, envelope):
        return email.message_from_bytes(envelope.content, policy=email.policy.default)

    def handle_message(self, message):
        self.mails.append(message)

    def to(self, address):
        return [mail for mail in self.mails if address in str(mail["To"])]


class Cloud(Process):
    """The emulator, which enforces IAM."""

    def __init__(self, work):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mailbox = Mailbox()
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = keep | OWN_KEYS | {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AUTH": "true",
            "LOG_LEVEL": "INFO",
            "TMPDIR": str(work),
            "SMTP_HOST": f"127.0.0.1:{self.mailbox.server.port}",
        }
        self.decisions_file = work / "decisions.jsonl"
        self.decisions_file.write_text("")
        environment |= {"DECISIONS": str(self.decisions_file), "MAIL_DOMAIN": DOMAIN}
        command = [sys.executable, Path(__file__).with_name("emulator.py")]
        super().__init__(command, work / "ministack.log", stdout=subprocess.DEVNULL, env=environment)
        wait_for("the emulator", self.is_up)

    def is_up(self):
        assert self.process.poll() is None, "the emulator ended; see ministack.log"
        try:
            return http("GET", f"{self.url}/_ministack/health")[0] == 200
        except OSError:
            return False

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}, proxies={}),
        )

    def decisions(self):
        """What the functions' roles asked for so far, and whether they may."""
        lines = map(json.loads, self.decisions_file.read_text().splitlines())
        return [it | {"role": logical(it["principal"].split("/")[1])} for it in lines if ":assumed-role/" in it["principal"]]

    def denied(self):
        """What a role asked for and may not. (A resource's own policy, which none here has, is asked, too, and never allows.)"""
        asked = {(it["role"], it["action"], it["resource"], it["decision"] == "Allow") for it in self.decisions()}
        return sorted(it[:3] for it in asked if it[:3] + (True,) not in asked and (*it[:2], it[2].split(":")[-1]) not in WARMING)

    def policies(self):
        """The policy of each role of the stack: role, its name in the account, the policy's name, its document."""
        iam = self.client("iam")
        for role in iam.list_roles()["Roles"]:
            if role["RoleName"].startswith(STACK):
                for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                    found = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)
                    yield logical(role["RoleName"]), role["RoleName"], policy, found["PolicyDocument"]

    def user(self, name, *policies):
        """The keys of somebody who may do what these policies allow, and nothing else."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def operate(self, target, **variables):
        """What an operator types: `make stop`, with credentials of the account, in a shell whose default region is another."""
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "CARGO_TARGET_DIR") if name in os.environ}
        shell = keep | OWN_KEYS | {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
        words = [f"{name}={value}" for name, value in variables.items()]
        subprocess.run(["make", "--silent", target, *words], cwd=ROOT, env=shell, check=True)

    def stop(self):
        super().stop()
        self.mailbox.server.stop()


def architecture():
    return {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def without_metric_math(template):
    """The emulator knows no alarms on expressions, and no anomaly detectors, on which only such an alarm looks. Nothing else refers to them."""
    resources = re.split(r"\n(?=  \w+:\n)", template)
    unknown = ("\n      Metrics:", "\n    Type: AWS::CloudWatch::AnomalyDetector\n")
    return "\n".join(it for it in resources if not any(what in it for what in unknown))


def packaged(s3, template):
    """What `sam deploy` does to a template before it sends it: what it names of this directory is put into a bucket."""
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def function(found):
        key = found[1].replace("/", "-")
        s3.upload_file(ROOT / found[1], BUCKET, key)
        return f"CodeUri: s3://{BUCKET}/{key}"

    def nested(found):
        key = found[1].replace("/", "-")
        s3.put_object(Bucket=BUCKET, Key=key, Body=without_metric_math((ROOT / found[1]).read_text()).encode())
        return f"TemplateURL: https://s3.amazonaws.com/{BUCKET}/{key}"

    # The emulator's `Ref` of a secret is its name; AWS's is its ARN, as this attribute is of both.
    template = re.sub(r"!Ref (PortOneApiSecret|PortOneWebhookSecret|CheckoutSecret)\b", r"!GetAtt \1.Id", template)
    # It compares this with a number, and what comes from a parameter is text.
    template = template.replace("MaximumConcurrency: !Ref WorkerConcurrency", "MaximumConcurrency: 4")
    template = template.replace("BatchSize: !Ref WorkerBatch", "BatchSize: 50")
    template = re.sub(r"CodeUri: (target/lambda/\S+)", function, template)
    template = re.sub(r"TemplateURL: (infra/\S+)", nested, template)
    return template.replace("Architectures: [arm64]", f"Architectures: [{architecture()}]")


class Stack:
    """template.yaml, deployed. `change` may change its text first."""

    def __init__(self, cloud, portone, change=lambda template: template):
        self.cloud = cloud
        s3 = cloud.client("s3")
        template = packaged(s3, change((ROOT / "template.yaml").read_text()))
        # As `sam deploy` does: CloudFormation takes no more than 51,200 bytes in the call itself.
        s3.put_object(Bucket=BUCKET, Key="template", Body=template.encode())
        parameters = {
            "PortOneStoreId": portone.ready["storeId"],
            "PortOneMode": "test",
            "PortOneBaseUrl": portone.ready["portone"],
            "CardChannelKey": "channel-key-sandbox-card",
            "CardPg": "TOSSPAYMENTS",
            "MailDomain": DOMAIN,
            # The emulator knows no DKIM tokens, which the template tells of an identity that it makes.
            "MailIdentity": "exists",
            "MailFrom": "billing@sivera.example",
            "MailManageUrl": "https://sivera.example/settings/billing",
            "MailSupportEmail": "support@sivera.example",
            # The emulator's Scheduler must not begin a run beside those of the test.
            "Schedules": "DISABLED",
            "Runbook": "https://sivera.example/docs/OPERATIONS.md",
        }
        cloud.client("sesv2").create_email_identity(EmailIdentity=DOMAIN)
        formation = cloud.client("cloudformation")
        formation.create_stack(
            StackName=STACK, TemplateURL=f"https://s3.amazonaws.com/{BUCKET}/template", Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )

        def state():
            found = formation.describe_stacks(StackName=STACK)["Stacks"][0]
            return None if found["StackStatus"].endswith("_IN_PROGRESS") else found

        made = wait_for("the stack", state)
        if made["StackStatus"] != "CREATE_COMPLETE":
            events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
            raise AssertionError("\n".join(
                f"{it['LogicalResourceId']}: {it['ResourceStatus']} {it.get('ResourceStatusReason', '')}" for it in events
                if "FAILED" in it["ResourceStatus"]) or str(made))
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in made["Outputs"]}

        secrets = cloud.client("secretsmanager")
        secrets.put_secret_value(SecretId=self.outputs["ApiSecretName"], SecretString=portone.ready["apiSecret"])
        secrets.put_secret_value(SecretId=self.outputs["WebhookSecretName"], SecretString=portone.ready["webhookSecret"])
        api = re.search(r"https://(\w+)\.execute-api", self.outputs["ApiUrl"])[1]
        # The emulator's address of an API, for hosts whose resolver does not know `*.localhost`.
        self.url = f"{cloud.url}/_aws/execute-api/{api}/$default"
        self.backend = cloud.user("backend", self.outputs["BackendPolicyArn"])
        self.stranger = cloud.user("stranger")

    def invoke(self, function, event):
        """As EventBridge Scheduler does, but waits for the answer."""
        answer = self.cloud.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, (function, payload)
        return payload

    def time_limit(self, function, seconds):
        self.cloud.client("lambda").update_function_configuration(FunctionName=f"{STACK}-{function}", Timeout=seconds)

    def call(self, method, path, body=None, by=None, **headers):
        """A call of the customer's own backend, or of whoever it is `by`, signed with IAM."""
        data = b"" if body is None else json.dumps(body).encode()
        url = self.url + path
        request = AWSRequest(method, url, data=data, headers={"content-type": "application/json"} | headers)
        SigV4Auth(by or self.backend, "execute-api", REGION).add_auth(request)
        return http(method, url, data or None, dict(request.headers))

    def rows(self, table):
        plain = TypeDeserializer().deserialize
        found = self.cloud.client("dynamodb").scan(TableName=f"{STACK}-{table}", ConsistentRead=True)["Items"]
        return [{name: plain(value) for name, value in row.items()} for row in found]

    def hide_for(self, queue, seconds):
        """For so long a message is in somebody's hands before it comes back. Answers with the queue's address."""
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{STACK}-{queue}")["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
        return url

    def waiting(self, queue):
        """How many messages a queue holds, seen and unseen."""
        sqs = self.cloud.client("sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = sqs.get_queue_url(QueueName=f"{STACK}-{queue}")["QueueUrl"]
        return sum(int(it) for it in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())
