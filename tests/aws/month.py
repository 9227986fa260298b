"""template.yaml is deployed, and a short month is lived through: `make test-aws`.

The functions are the bootstraps of `make build`, started by the emulator as Lambda starts them, with their roles' own credentials. Customers
enrol on the deployed pages; PortOne's webhooks come in through the deployed HTTP API; the planner and the reconciler are invoked with what
Scheduler would send; queues and the stream do the rest. A run's time is its now, so days are passed by naming later ones, and at what hour of
the day this runs does not matter.

What the emulator, ministack 1.5, does not do, so that it is not tried here:

- arm64: the functions are built for this machine.
- Scheduler's own calls: its schedules are made, and disabled, for their times are days apart.
- DKIM tokens (so the sending domain is one that exists), alarms on expressions, and the anomaly detector that one of them looks at: `cloud.py`
  takes them out. Whether an alarm rings is not looked at.
- `Ref` of a secret is its name there, not its ARN; a number that comes from a parameter is text there: `cloud.py` says where it helps out.
- Roles are not asked for what AWS itself does in their name (UNTRIED below): writing logs and traces, polling queues and streams, and putting
  what failed into dead-letter queues.
- It decides about two actions otherwise than AWS: `emulator.py` has it ask `sqs:SendMessage` of a batch, and `ses:SendEmail` of the sender's
  identity. That AWS asks so is known from its pages, and seen nowhere.
- The mail's MIME is its own: the functions give SES subject, text and HTML apart, so what is read back here is how the emulator wrote them. Ours
  is what they say, and the sender.
- The customer's backend is a user with keys, not a role; `make stop` is typed with the account's own keys, which may do everything.
- Throttling by the HTTP API, X-Ray, encryption, deletion protection, time to live, SES's own judgement, time limits of memory.
"""

import json
import os
import re
import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from pathlib import Path

from cloud import ROOT, STACK, Cloud, PortOne, Stack, http, wait_for

# What roles are granted for AWS itself to do in their name.
UNTRIED = re.compile(
    r"^(logs:|xray:|lambda:InvokeFunction|dynamodb:(DescribeStream|GetRecords|GetShardIterator|ListStreams)"
    r"|sqs:(ReceiveMessage|DeleteMessage|GetQueueAttributes)|sqs:SendMessage .*-dead$)"
)

# What AWS asks for beside the sender's identity, and the emulator does not.
UNASKED = re.compile(r"^ses:SendEmail .*:configuration-set/")

SEOUL = timezone(timedelta(hours=9))


def morning(days, hour=10, minute=0):
    """A moment so many days from today, in Seoul, as Scheduler names it."""
    day = datetime.now(SEOUL) + timedelta(days=days)
    moment = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Month(unittest.TestCase):
    """One deployment and the month lived through on it."""

    maxDiff = None

    @staticmethod
    def change(template):
        return template

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        work = Path(directory.name)
        cls.portone = PortOne(work)
        cls.addClassCleanup(cls.portone.stop)
        cls.cloud = Cloud(work)
        cls.addClassCleanup(cls.cloud.stop)
        cls.addClassCleanup(lambda: setattr(cls, "denied", cls.cloud.denied()))
        cls.stack = Stack(cls.cloud, cls.portone, cls.change)
        # As an operator pastes the stack's output into PortOne's console.
        cls.portone.console("/api/portone/webhook-url", {"url": f"{cls.stack.url}/api/portone/billing-webhook"})

    def tearDown(self):
        self.assertEqual(self.cloud.denied(), [], "the policies allow all that is asked for")

    def wait_for(self, what, look):
        """Waits, but not once something was refused."""
        found = wait_for(what, lambda: look() or self.cloud.denied())
        self.assertEqual(self.cloud.denied(), [], "the policies allow all that is asked for")
        return found

    def webhooks_are_lost(self, operation):
        self.portone.console("/api/portone/faults", {"rules": [{"behavior": "webhook_lost", "operation": operation}]})

    def webhooks_arrive(self):
        self.portone.console("/api/portone/faults", {"rules": []})

    def enrol(self, user, name, locale, behavior="approve", trial_days=1, returns=False):
        """A customer's way through the pages. Who `returns` is sent to the success page; of the others only the webhook tells."""
        customer = {"name": name, "email": f"{user}@example.com", "phone": "010-0000-0000"}
        wish = {"userId": user, "planType": "standard", "teamSeats": 3, "currency": "KRW", "trialDays": trial_days}
        status, session = self.stack.call(
            "POST", "/api/billing/checkout-sessions", wish | {"customer": customer, "locale": locale})
        self.assertEqual(status, 201, session)
        path = re.sub("^https://[^/]*", "", session["url"])
        status, page = http("GET", self.stack.url + path)
        self.assertEqual(status, 200, page)
        data = re.search(r'<script id="data" type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
        request = json.loads(data)["request"]
        # The deployed address is AWS's; here webhooks go where the console says.
        del request["noticeUrls"]
        window = self.portone.ready["portone"] + "/sandbox/window/"
        status, opened = http(
            "POST", window + "open", {"request": request, "platform": "PC", "by": "requestIssueBillingKey"})
        self.assertEqual(status, 200, opened)
        ending = {"ending": "approve", "behavior": behavior}
        status, ended = http("POST", f"{window}{opened['windowId']}/end", ending)
        self.assertEqual(status, 200, ended)
        if returns:
            back = re.sub("^https://[^/]*", "", request["redirectUrl"])
            status, page = http("GET", f"{self.stack.url}{back}&billingKey={ended['result']['billingKey']}")
            self.assertEqual(status, 200)
        return self.wait_for(f"the subscription of {user}", lambda: self.subscription(user))["subscriptionId"]

    def subscription(self, user):
        return next((it for it in self.stack.rows("Subscriptions") if it["userId"] == user), None)

    def invoice(self, user):
        """The user's newest invoice."""
        return max((it for it in self.stack.rows("Invoices") if it["userId"] == user), key=lambda it: it["period"], default={})

    def give_back_in_the_console(self, user):
        self.portone.console("/api/portone/refunds", {"paymentId": self.invoice(user)["paymentId"], "amount": 1})

    def handed_over(self):
        """What the planner sent, as the emulator was asked about it."""
        sent = ("PlannerRole", "sqs:SendMessage")
        return [it for it in self.cloud.decisions() if (it["role"], it["action"]) == sent]

    def becomes(self, user, status):
        self.wait_for(f"{user}'s invoice is {status}", lambda: self.invoice(user).get("status") == status)

    def test_1_strangers_are_turned_away(self):
        self.assertEqual(http("POST", f"{self.stack.url}/api/portone/billing-webhook", {})[0], 401)
        self.assertEqual(http("POST", f"{self.stack.url}/api/portone/charge", {})[0], 403, "unsigned")
        wanted = "/api/billing/subscriptions/sub-1?userId=kim"
        self.assertEqual(self.stack.call("GET", wanted, by=self.stack.stranger)[0], 403, "signed by somebody without the policy")
        self.assertEqual(self.stack.call("GET", wanted)[0], 404, "the backend is let in")
        self.assertEqual(http("GET", f"{self.stack.url}/health")[0], 200)

    def test_2_a_month_is_collected(self):
        self.enrol("kim", "김하나", "ko")
        self.enrol("lee", "Sam Lee", "en", behavior="decline:insufficient_funds:1")
        self.enrol("park", "박두리", "ko", behavior="drop_after_success")
        self.enrol("han", "한다솜", "ko", behavior="drop_after_success", trial_days=3)
        # Who owes from the first moment: one begins by the webhook, the other by the page alone.
        self.enrol("jung", "정세나", "ko", trial_days=0)
        self.webhooks_are_lost("issue")
        self.enrol("choi", "최하늘", "ko", trial_days=0, returns=True)

        # An operator has stopped collecting: the run hands nobody over.
        reason = "the PG says \"no\", and it's the 1st"
        self.cloud.operate("stop", STACK=STACK, REASON=reason)
        self.assertEqual(self.stack.invoke("planner", {"scheduledTime": morning(2)}), {"batchItemFailures": [], "stopped": True})
        self.assertEqual(self.handed_over(), [])
        [order] = self.stack.rows("Controls")
        self.assertEqual((order["value"], order["reason"]), ("stopped", reason))
        self.cloud.operate("resume", STACK=STACK)

        # The first run: one is paid, one declined, and of one the answer is lost, and the webhook, too.
        self.webhooks_are_lost("charge")
        self.assertEqual(self.stack.invoke("planner", {"scheduledTime": morning(2)}), {"batchItemFailures": []})
        self.assertNotEqual(self.handed_over(), [])
        self.becomes("kim", "paid")
        self.becomes("jung", "paid")
        self.becomes("choi", "paid")
        self.becomes("lee", "failed")
        self.becomes("park", "unknown")

        # The reconciler asks. Then the same tick again, as Scheduler may send it.
        answer = self.stack.invoke("reconciler", {"task": "hourly", "scheduledTime": morning(2, 11, 15)})
        self.assertEqual((answer["settled"], answer["failed"]), (1, 0), answer)
        self.becomes("park", "paid")
        self.stack.invoke("planner", {"scheduledTime": morning(2)})

        # The second run has no time, and hands its work to another pass, through the planner's own queue. The declined one is tried again. The
        # answer to another is lost, but its webhook comes through the API.
        self.webhooks_arrive()
        # A new time limit ends the emulator's processes in the middle of their work, as AWS's does not. What they held is to come back soon.
        self.stack.hide_for("plan", 10)
        self.stack.time_limit("planner", 9)
        self.stack.invoke("planner", {"scheduledTime": morning(4)})
        self.stack.time_limit("planner", 300)
        self.becomes("lee", "paid")
        self.becomes("han", "paid")

        approved = [it["paymentId"] for it in self.portone.approvals()]
        self.assertEqual(len(approved), len(set(approved)), "nobody is charged twice")
        self.assertEqual(sorted(approved), sorted(it["paymentId"] for it in self.stack.rows("Invoices")))

    def test_3_the_customers_own_backend_has_its_way(self):
        subscription = self.subscription("kim")["subscriptionId"]
        of = f"/api/billing/subscriptions/{subscription}"
        status, invoices = self.stack.call("GET", f"{of}/invoices?userId=kim")
        self.assertEqual(status, 200, invoices)
        payment = invoices["invoices"][0]["paymentId"]
        refund = {"reason": "test", "amount": 1}
        status, refunded = self.stack.call("POST", f"/api/billing/payments/{payment}/refund", refund, **{"Idempotency-Key": "one"})
        self.assertEqual((status, refunded["status"]), (200, "succeeded"), refunded)
        status, canceled = self.stack.call("POST", f"{of}/cancel?userId=kim", {"at": "period_end"})
        self.assertEqual(status, 200, canceled)
        charge = {"subscriptionId": subscription, "userId": "kim"}
        self.assertEqual(self.stack.call("POST", "/api/portone/charge", charge)[0], 409, "nothing is owed")

    def test_4_what_is_given_back_elsewhere_is_learned_and_the_books_balance(self):
        # In PortOne's console: of one the webhook comes, of another it is lost, and the night finds it.
        self.give_back_in_the_console("jung")
        self.wait_for("jung's refund", lambda: self.invoice("jung").get("refundedAmount") == 1)
        self.webhooks_are_lost("cancel")
        self.give_back_in_the_console("choi")
        answer = self.stack.invoke("reconciler", {"task": "nightly", "scheduledTime": morning(5, 2, 40)})
        self.assertEqual((answer["settled"], answer["differences"], answer["failed"]), (1, 0, 0), answer)
        self.assertEqual(self.invoice("choi")["refundedAmount"], 1)
        for month in {it["period"][:7] for it in self.stack.rows("Invoices")}:
            closed = self.stack.invoke("reconciler", {"task": "close", "scheduledTime": morning(5, 3, 10), "month": month})
            self.assertTrue(closed["books"][0]["balanced"], closed)

    def test_5_mails_are_read_as_they_were_written(self):
        receipt = re.compile(r"\[Sivera\] \d{4}년 \d+월 영수증: Standard 구독 [\d,]+원")
        receipts = lambda: [it for it in self.cloud.mailbox.to("kim@example.com") if receipt.fullmatch(it["Subject"])]
        self.wait_for("kim's receipt", receipts)
        [mail] = receipts()
        self.assertEqual(mail["From"].addresses[0].addr_spec, "billing@sivera.example")
        for kind in ("plain", "html"):
            self.assertIn("김하나", mail.get_body((kind,)).get_content())
        # Of the beginning, the decline and the receipt.
        self.wait_for("lee's mails", lambda: len(self.cloud.mailbox.to("lee@example.com")) == 3)

    def test_6_a_poisoned_message_ends_among_the_dead_letters(self):
        sqs = self.cloud.client("sqs")
        # Five deliveries take three quarters of an hour otherwise.
        queue = self.stack.hide_for("collect", 1)
        sqs.send_message(QueueUrl=queue, MessageBody="not a message of the planner's")
        self.wait_for("the dead letter", lambda: self.stack.waiting("collect-dead"))
        self.assertEqual(self.stack.waiting("mail-dead"), 0)

    def test_7_no_permission_is_one_too_many(self):
        """Takes each permission of each statement away in turn, and looks whether the month could have been lived through without it."""
        needless = []
        for role, _, _, document in self.cloud.policies():
            asked = {(it["action"], it["resource"]) for it in self.cloud.decisions() if it["role"] == role}
            granted = [
                (action, resource)
                for statement in document["Statement"]
                for action in listed(statement["Action"])
                for resource in listed(statement["Resource"])
            ]
            for grant in granted:
                rest = [other for other in granted if other != grant]
                if not any(allows(grant, it) and not any(allows(other, it) for other in rest) for it in asked):
                    needless.append((role, *grant))
        needless = [it for it in needless if not UNTRIED.search(f"{it[1]} {it[2]}") and not UNASKED.search(f"{it[1]} {it[2]}")]
        self.assertEqual(needless, [])


STATEMENT = re.compile(r"^ {14}- Effect: Allow\n {16}Action: (.*)\n {16}Resource: (.*)\n", re.MULTILINE)


@unittest.skipUnless(os.environ.get("EACH"), "EACH=1 lives a month for each statement that is taken away: five minutes")
class EachStatement(unittest.TestCase):
    """The month cannot be lived through without any one statement of any role."""

    def test_a_month_without_it_fails(self):
        for found in STATEMENT.finditer((ROOT / "template.yaml").read_text()):
            if UNTRIED.search(f"{found[1].strip('[]')} {found[2]}") or found[2].endswith("DeadLetters.Arn"):
                continue
            role = re.findall(r"^  (\w+Role):$", found.string[: found.start()], re.MULTILINE)[-1]
            with self.subTest(role=role, action=found[1], resource=found[2]):
                deprived = type("Deprived", (Month,), {
                    "change": staticmethod(lambda template: template[: found.start()] + template[found.end() :])})
                result = unittest.TestResult()
                result.failfast = True
                unittest.defaultTestLoader.loadTestsFromTestCase(deprived).run(result)
                self.assertFalse(result.wasSuccessful())
                why = "".join(text for _, text in result.errors + result.failures)
                self.assertEqual({it[0] for it in deprived.denied}, {role}, f"it fails for want of that, and not so: {why}")


def listed(one_or_many):
    return [one_or_many] if isinstance(one_or_many, str) else one_or_many


def allows(grant, request):
    return all(fnmatchcase(asked, pattern) for asked, pattern in zip(request, grant))


if __name__ == "__main__":
    unittest.main()
