"""Prints the template after SAM's transformation, as JSON, so that it can be linted too.

Checks that SAM adds no roles or policies, and that each role may be assumed by its service only. Needs no
network, region or credentials.
"""
import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

SERVICES = ["appsync.amazonaws.com", "lambda.amazonaws.com"]


def iam_resources(template):
    """The roles and policies of the template, as plain JSON values."""
    resources = template["Resources"].items()
    iam = {name: resource for name, resource in resources if resource["Type"].startswith("AWS::IAM::")}
    return json.loads(json.dumps(iam, default=str))


def check_trust_policy(name, role):
    """Exactly one service may assume the role."""
    [statement] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    [(kind, service)] = statement["Principal"].items()
    assert kind == "Service" and service in SERVICES, f"{name} may be assumed by {kind} {service}"
    assert statement["Action"] == "sts:AssumeRole", f"{name} allows {statement['Action']}"
    # Lambda assumes roles without a source account; only functions of this account can have them.
    if service == "appsync.amazonaws.com":
        account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        assert statement.get("Condition") == account, f"{name} may be assumed for another account"


def replace_local_paths(template):
    """Replaces local paths by S3 locations, as `sam package` does. Only the path of the handler is a parameter."""
    del template["Parameters"]["HandlerPath"]
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://bucket/handler.zip"
        for name in ("DefinitionS3Location", "CodeS3Location"):
            if name in properties:
                properties[name] = "s3://bucket/" + properties[name]


with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
replace_local_paths(template)
source = iam_resources(template)
transformed = Translator({}, Parser()).translate(template, {})
print(json.dumps(transformed, indent=2, default=str))

output = iam_resources(transformed)
assert output == source, f"SAM changes the roles or policies: {sorted(output)}, not {sorted(source)}"
for name, resource in output.items():
    if resource["Type"] == "AWS::IAM::Role":
        check_trust_policy(name, resource)
