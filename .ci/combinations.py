"""Lints a template with each combination of its modes, and with its numbers at their bounds, written into it as parameter defaults.

cfn-lint looks into both branches of every condition whatever the parameters are, but takes a reference to a parameter for its default;
SAM puts the defaults in before it validates. So every combination is a template of its own, and both look at it.
"""
import contextlib
import io
import itertools
import json
import logging
import multiprocessing
import pathlib
import re
import sys

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner
from samcli.cli.main import cli
from samcli.yamlhelper import yaml_parse

MODES = {
    "ApiKeyAccess": ["true", "false"],
    "UserPool": ["none", "create", "us-east-1_Existing1"],
    "OidcIssuer": ["", "https://issuer.example.com"],
    "IamAccess": ["true", "false"],
}
WAF = ["10", "999999999"]


def combinations(template):
    """Every choice of modes; then all numbers at their least and at their most, with the edge guarded and all modes on."""
    for values in itertools.product(*MODES.values()):
        modes = dict(zip(MODES, values))
        # A provider's clients must be named.
        yield {**modes, "OidcClientPattern": "web|mobile" if modes["OidcIssuer"] else ""}
    everyone = {"UserPool": "create", "OidcIssuer": "https://issuer.example.com", "OidcClientPattern": "web|mobile"}
    for bound, waf in zip(["MinValue", "MaxValue"], WAF):
        numbers = {name: given[bound] for name, given in template["Parameters"].items() if bound in given}
        yield {**everyone, **numbers, "WafRequestsPerFiveMinutes": waf}
    clients = {"UserPool": "us-east-1_Existing1", "UserPoolClientPattern": "web|mobile"}
    yield {**everyone, **clients, "Introspection": "DISABLED"}


def with_defaults(text, values):
    for name, value in values.items():
        default = re.compile(rf"(?m)^(  {name}:\n(?:    .*\n)*?    Default: ).*$")
        text, count = default.subn(lambda found: found[1] + json.dumps(value), text)
        assert count == 1, f"{name} has {count} defaults"
    return text


def faults(file):
    """What cfn-lint and `sam validate --lint` have to say against it."""
    logging.disable()  # what they say of their own work
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        found = [str(match) for match in Runner(ConfigMixIn([str(file)])).run()]
        try:
            if cli(["validate", "--lint", "--template", str(file)], standalone_mode=False):
                found.append(said.getvalue())
        except Exception as fault:  # whatever it is, it is not clean
            found.append(f"{fault}: {said.getvalue()}")
    return found


def main(source, folder):
    text, folder = pathlib.Path(source).read_text(), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = list(combinations(yaml_parse(text)))
    files = [folder / f"{number}.yaml" for number, _ in enumerate(chosen, 1)]
    for file, values in zip(files, chosen):
        file.write_text(with_defaults(text, values))
    with multiprocessing.Pool() as pool:
        for values, found in zip(chosen, pool.imap(faults, files)):
            print(" ".join(f"{name}={value}" for name, value in values.items()), "clean" if not found else found, flush=True)
            if found:
                sys.exit(1)
    print(f"{len(chosen)} combinations are clean")


if __name__ == "__main__":
    main(*sys.argv[1:])
