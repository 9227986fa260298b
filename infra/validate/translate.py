"""Translates the template as CloudFormation will, and checks what only the translated one shows.

    translate.py TEMPLATE OUTPUT

`sam validate` does not look at what a template becomes: a misspelt FunctionResponseTypes, or an architecture that does not exist, passes it.
"""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoPolicies:
    """The functions' roles are written out; no managed policy is ever asked for."""

    def load(self):
        return {}


def stars(document):
    """The statements that allow something on every resource."""
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        actions, on = statement["Action"], statement.get("Resource", [])
        actions = actions if isinstance(actions, list) else [actions]
        if any("*" in action for action in actions):
            yield statement
        elif "*" in (on if isinstance(on, list) else [on]) and not all(a.startswith("xray:") for a in actions):
            yield statement


def main(source, output):
    with open(source, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://bucket.s3.amazonaws.com/template.yaml"
    translated = transform(template, {}, NoPolicies())
    wrong = []
    for name, resource in translated["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            if properties.get("ManagedPolicyArns"):
                wrong.append(f"{name}: has a policy of AWS's own")
            for policy in properties.get("Policies", []):
                wrong += [f"{name}: {statement}" for statement in stars(policy["PolicyDocument"])]
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
                wrong.append(f"{name}: one bad message would bring all of its batch back")
        if resource["Type"] == "AWS::Scheduler::Schedule":
            target = properties["Target"]
            if not (target.get("DeadLetterConfig") and target.get("RetryPolicy")):
                wrong.append(f"{name}: a tick that fails is lost")
    with open(output, "w", encoding="utf-8") as file:
        json.dump(translated, file, indent=1)
    for line in wrong:
        print(f"{source}: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
