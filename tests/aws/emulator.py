"""`ministack`, which writes down every decision of its IAM: one JSON line each in the file that DECISIONS names.

In two places it asks for another permission than AWS does, and is put right here.
"""

import json
import os
from dataclasses import replace

from ministack.core import iam_evaluator

judge = iam_evaluator.evaluate
decisions = open(os.environ["DECISIONS"], "a", buffering=1)


def evaluate(context, policies, *limits):
    if context.action == "sqs:SendMessageBatch":
        # AWS has no permission of this name: a batch needs that of its messages.
        context = replace(context, action="sqs:SendMessage")
    if context.action == "ses:SendEmail" and context.resource_arn == "*":
        # AWS asks for the identity of the sender.
        identity = f"arn:aws:ses:{context.region}:{context.principal_account}:identity/{os.environ['MAIL_DOMAIN']}"
        context = replace(context, resource_arn=identity)
    result = judge(context, policies, *limits)
    line = {"principal": context.principal_arn, "action": context.action, "resource": context.resource_arn}
    decisions.write(json.dumps(line | {"decision": result.decision}) + "\n")
    return result


iam_evaluator.evaluate = evaluate

from ministack.app import main  # noqa: E402 - the app must find the evaluator changed

main()
