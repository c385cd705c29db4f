"""Prints the template after SAM's transformation, as JSON, so that it can be linted too.

Checks that SAM adds no roles or policies, and that each role may be assumed by its service only. Needs no
network, region or credentials.
"""
import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# The services that assume roles, with the condition on whose behalf they must do so. Lambda assumes roles
# without a source account; only functions of this account can have them.
ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
KNOWLEDGE_BASES = "arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:knowledge-base/*"
CONDITIONS = {
    "appsync.amazonaws.com": ACCOUNT,
    "bedrock.amazonaws.com": {**ACCOUNT, "ArnLike": {"aws:SourceArn": {"Fn::Sub": KNOWLEDGE_BASES}}},
    "lambda.amazonaws.com": None,
}


def iam_resources(template):
    """The roles and policies of the template, as plain JSON values."""
    resources = template["Resources"].items()
    iam = {name: resource for name, resource in resources if resource["Type"].startswith("AWS::IAM::")}
    return json.loads(json.dumps(iam, default=str))


def check_trust_policy(name, role):
    """Exactly one service may assume the role."""
    [statement] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    [(kind, service)] = statement["Principal"].items()
    assert kind == "Service" and service in CONDITIONS, f"{name} may be assumed by {kind} {service}"
    assert statement["Action"] == "sts:AssumeRole", f"{name} allows {statement['Action']}"
    assert statement.get("Condition") == CONDITIONS[service], f"{name} may be assumed for others"


def replace_local_paths(template):
    """Replaces local paths by S3 locations, as `sam package` does. Only the path of the handler is a parameter."""
    template["Parameters"].pop("HandlerPath", None)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://bucket/handler.zip"
        for name in ("DefinitionS3Location", "CodeS3Location"):
            if name in properties:
                properties[name] = "s3://bucket/" + properties[name]
        if "TemplateURL" in properties:
            properties["TemplateURL"] = "https://bucket.s3.amazonaws.com/" + properties["TemplateURL"]


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
