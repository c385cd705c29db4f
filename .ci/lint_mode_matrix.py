"""Lints the template with every combination of authorization modes that lets somebody call, with the
limits of its numbers, with an alarm topic, with tools and without one-shot answers, with the service of a
custom handler's model, with knowledge, with other entry points and with the chat page; and the templates of
nested stacks.

cfn-lint checks both branches of every condition, but replaces a reference to a parameter by the parameter's
default. SAM inserts the defaults before it validates. So each combination is written as a template of its own,
with its values as the parameters' defaults.
"""
import contextlib
import io
import itertools
import json
import logging
import multiprocessing
import pathlib
import re
import shutil
import sys

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner
from samcli.cli.main import cli
from samcli.yamlhelper import yaml_parse

MODES = {
    "ApiKeyAccess": ["true", "false"],
    "UserPool": ["none", "create", "us-east-1_Existing1"],
    "OidcIssuer": ["none", "https://issuer.example.com"],
    "IamAccess": ["true", "false"],
}
NOBODY_MAY_CALL = {"ApiKeyAccess": "false", "UserPool": "none", "OidcIssuer": "none", "IamAccess": "false"}
ALARM_TOPICS = ["arn:aws:sns:us-east-1:123456789012:on-call", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:on-call"]
# WafRequestsPerFiveMinutes is a string and has no MinValue and MaxValue.
WAF_LIMITS = ["10", "999999999"]

TOOLS = {
    "ToolFunctionArns": "arn:aws:lambda:us-east-1:123456789012:function:tool-*",
    "ToolMcpUrls": "https://mcp.example.com/mcp,https://mcp.example.com/tools/*",
    "ToolSecretArns": "arn:aws:secretsmanager:us-east-1:123456789012:secret:mcp/token-AbC123",
    "CallerTools": "false",
}

NO_ONE_SHOT = {"OneShot": "false", "OneShotBroadcast": "false"}

KNOWLEDGE_TEMPLATE = "knowledge/template.yaml"
RERANK_MODEL = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"
KNOWLEDGE = {"Knowledge": ["create", "KB12345678"], "RerankModelArn": ["none", RERANK_MODEL]}
STORES = {"Store": ["AURORA", "S3_VECTORS"], "Chunking": ["FIXED_SIZE", "NONE"], "RerankModelArn": ["none", RERANK_MODEL]}

ENTRY_POINTS = {"EventsApi": ["true", "false"], "WebSocketApi": ["true", "false"]}
EVENTS_TEMPLATE = "entry/events.yaml"
WEBSOCKET_TEMPLATE = "entry/websocket.yaml"
CHAT_PAGE = {"ChatPage": "true"}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/a1b2c3d4-5678-90ab-cdef-000000000000"
CHAT_PAGE_DOMAIN = {"ChatPageDomain": "chat.example.com", "ChatPageCertificateArn": CERTIFICATE}
# Its parameters have no defaults, so that one file is all combinations.
CHAT_PAGE_TEMPLATE = "web/template.yaml"
# What template.yaml gives them.
PATTERN = "^(web|mobile)$"
ISSUER = "https://issuer.example.com"
POOL_ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Existing1"
EVENTS_MODES = {
    "ApiKeyAccess": ["true", "false"],
    "UserPool": ["none", "us-east-1_Existing1"],
    "OidcIssuer": ["none", ISSUER],
    "IamAccess": ["true", "false"],
}
WEBSOCKET_MODES = {
    "ApiKey": ["none", "da2-abcdefghijklmnopqrstuvwxyz"],
    "UserPoolIssuer": ["none", POOL_ISSUER],
    "OidcIssuer": ["none", ISSUER],
}


def products(choices):
    """Every combination of one value of each parameter."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values))


def combinations(template):
    """Every combination of modes that the template's rules accept; then all modes with other parameters."""
    for modes in products(MODES):
        # The rule SomeoneMayCall refuses it.
        if modes == NOBODY_MAY_CALL:
            continue
        # The rule OidcClientsRequired: an OpenID Connect issuer requires a pattern for its clients.
        yield {**modes, "OidcClientPattern": "none" if modes["OidcIssuer"] == "none" else "web|mobile"}
    all_modes = {"UserPool": "create", "OidcIssuer": "https://issuer.example.com", "OidcClientPattern": "web|mobile"}
    for bound, waf_limit in zip(["MinValue", "MaxValue"], WAF_LIMITS):
        numbers = {name: parameter[bound] for name, parameter in template["Parameters"].items() if bound in parameter}
        yield {**all_modes, **numbers, "WafRequestsPerFiveMinutes": waf_limit}
    existing_pool = {"UserPool": "us-east-1_Existing1", "UserPoolClientPattern": "web|mobile"}
    yield {**all_modes, **existing_pool, "Introspection": "DISABLED"}
    # The least and the greatest number are no times that AppSync accepts.
    yield {**all_modes, "ApiKeyExpires": 1893456000}
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:key-AbCdEf"
    model = {"ModelId": "vendor/open_model-1.5:free", "ModelUrl": "https://api.example.com/v1"}
    yield {**all_modes, **model, "ModelKeySecretArn": secret}
    for topic in ALARM_TOPICS:
        yield {**all_modes, "AlarmTopicArn": topic}
    yield {**all_modes, **TOOLS, **NO_ONE_SHOT}
    for knowledge in products(KNOWLEDGE):
        yield {**all_modes, **knowledge, "OneShotRetrieveAndGenerate": "true"}
    yield {**all_modes, "Knowledge": "KB12345678", "KnowledgeBucket": "documents.example"}
    for entry_points in products(ENTRY_POINTS):
        yield {**all_modes, **entry_points, "EventsStream": "true", "WafRequestsPerFiveMinutes": "1000"}
        yield {**all_modes, **existing_pool, **entry_points, "ApiKeyExpires": 1893456000, "AlarmTopicArn": ALARM_TOPICS[0]}
        yield {**entry_points, "ApiKeyAccess": "true", "IamAccess": "false"}
        yield {**entry_points, "ApiKeyAccess": "false", "OidcIssuer": ISSUER, "OidcClientPattern": "web"}
    for pool in MODES["UserPool"]:
        for domain in ({}, CHAT_PAGE_DOMAIN):
            yield {**all_modes, **CHAT_PAGE, **domain, "UserPool": pool}
            yield {**all_modes, **CHAT_PAGE, **domain, "UserPool": pool, "EventsApi": "true", "WebSocketApi": "true"}
    yield {**CHAT_PAGE, "ApiKeyAccess": "true"}
    yield {**CHAT_PAGE, "ApiKeyAccess": "false", "OidcIssuer": ISSUER, "OidcClientPattern": "web"}


def events_combinations(template):
    """Every combination of modes, in turn with the other parameters."""
    others = itertools.cycle([{}, {"Stream": "true", "ApiKeyExpires": 1893456000}, {"AlarmTopicArn": ALARM_TOPICS[0]}])
    patterns = {"UserPoolClientPattern": PATTERN, "OidcClientPattern": PATTERN}
    for modes, other in zip(products(EVENTS_MODES), others):
        yield {**modes, **patterns, **other}


def websocket_combinations(template):
    """Every combination of modes, in turn with the other parameters."""
    others = itertools.cycle([{}, {"ApiKeyExpires": 1893456000}, {"AlarmTopicArn": ALARM_TOPICS[0]}])
    patterns = {"UserPoolClientPattern": PATTERN, "OidcClientPattern": PATTERN}
    for modes, other in zip(products(WEBSOCKET_MODES), others):
        yield {**modes, **patterns, **other}


def knowledge_combinations(template):
    """Every kind of knowledge base with the limits of its numbers, in turn."""
    bounds = itertools.cycle(["MinValue", "MaxValue"])
    topics = itertools.cycle(["none", *ALARM_TOPICS])
    for kind, bound, topic in zip(products(STORES), bounds, topics):
        parameters = template["Parameters"].items()
        numbers = {name: parameter[bound] for name, parameter in parameters if bound in parameter}
        yield {**kind, **numbers, "LogRetentionDays": 30, "AlarmTopicArn": topic}


def with_defaults(text, values):
    """The template's text with these values as the defaults of its parameters."""
    for name, value in values.items():
        default = re.compile(rf"(?m)^(  {name}:\n(?:    .*\n)*?    Default: ).*$")
        text, count = default.subn(lambda match: match[1] + json.dumps(value), text)
        assert count == 1, f"{name} has {count} defaults"
    return text


def lint(file):
    """The findings of cfn-lint and of `sam validate --lint`."""
    logging.disable()
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        findings = [str(match) for match in Runner(ConfigMixIn([str(file)])).run()]
        try:
            if cli(["validate", "--lint", "--template", str(file)], standalone_mode=False):
                findings.append(output.getvalue())
        except Exception as error:  # SAM reports invalid templates by various exceptions.
            findings.append(f"{error}: {output.getvalue()}")
    return findings


def lint_all(source, matrix, folder):
    """Lints the template with each combination, in files of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}.yaml" for number, _ in enumerate(matrix, 1)]
    for file, values in zip(files, matrix):
        file.write_text(with_defaults(source, values))
    with multiprocessing.Pool() as pool:
        for values, findings in zip(matrix, pool.imap(lint, files)):
            description = " ".join(f"{name}={value}" for name, value in values.items())
            print(description, findings or "no findings", flush=True)
            if findings:
                sys.exit(1)
    print(f"{len(matrix)} combinations without findings")


def main(template, folder):
    template = pathlib.Path(template)
    folder = pathlib.Path(folder)
    nested = {
        KNOWLEDGE_TEMPLATE: knowledge_combinations,
        EVENTS_TEMPLATE: events_combinations,
        WEBSOCKET_TEMPLATE: websocket_combinations,
    }
    # cfn-lint compares the parameters and the outputs of nested stacks with their templates.
    for path in [*nested, CHAT_PAGE_TEMPLATE]:
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(template.parent / path, copy)
    lint_combinations(template, combinations, folder)
    for path, combine in nested.items():
        lint_combinations(template.parent / path, combine, (folder / path).with_suffix(""))


def lint_combinations(template, combine, folder):
    source = template.read_text()
    lint_all(source, list(combine(yaml_parse(source))), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
