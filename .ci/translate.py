"""Prints what SAM makes of a template, as JSON, so that the result can be linted too. Needs no network, region or credentials."""
import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

SERVICES = ["appsync.amazonaws.com", "lambda.amazonaws.com"]


def of_iam(template):
    """Its roles and policies, as they are written."""
    found = {name: resource for name, resource in template["Resources"].items() if resource["Type"].startswith("AWS::IAM::")}
    return json.loads(json.dumps(found, default=str))


def check_trust(name, role):
    """A role is for one service, and for nobody else."""
    [statement] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    [(kind, service)] = statement["Principal"].items()
    assert kind == "Service" and service in SERVICES, f"{name} may be assumed by {kind} {service}"
    assert statement["Action"] == "sts:AssumeRole", f"{name} may be had by {statement['Action']}"
    # Lambda assumes roles without saying for which account; only functions of this one are given them.
    if service == "appsync.amazonaws.com":
        account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        assert statement.get("Condition") == account, f"{name} may be assumed for another account"


with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    properties = resource.get("Properties", {})
    # What `sam package` would have uploaded.
    if resource["Type"] == "AWS::Serverless::Function":
        properties["CodeUri"] = "s3://bucket/handler.zip"
    for name in ("DefinitionS3Location", "CodeS3Location"):
        if name in properties:
            properties[name] = "s3://bucket/" + properties[name]
written = of_iam(template)
translated = Translator({}, Parser()).translate(template, {})
print(json.dumps(translated, indent=2, default=str))

deployed = of_iam(translated)
assert deployed == written, f"SAM makes other roles or policies of them: {sorted(deployed)}, not {sorted(written)}"
for name, resource in deployed.items():
    if resource["Type"] == "AWS::IAM::Role":
        check_trust(name, resource)
