"""Prints what SAM makes of a template, as JSON, so that the result can be linted too. Needs no network, region or credentials."""
import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

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
print(json.dumps(Translator({}, Parser()).translate(template, {}), indent=2, default=str))
