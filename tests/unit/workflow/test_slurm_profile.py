"""The profile for SLURM against the rules: who needs a GPU goes where there is one, who is grouped takes turns."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
RULES = dict(re.findall(r"^(?:rule|checkpoint) (\w+):\n((?:[ \t].*\n|\n)*)", TEXT, re.MULTILINE))
LOCAL = set(re.findall(r"\w+", " ".join(re.findall(r"^localrules:\n((?:    .*\n)*)", TEXT, re.MULTILINE))))


@pytest.fixture(scope="module")
def profile():
    return yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))


def test_rules_with_a_gpu_go_to_its_partition_and_no_others_do(profile):
    wanted = {name for name, body in RULES.items() if "gpu=1" in body}
    sent = {name for name, found in profile["set-resources"].items() if found.get("slurm_partition") == "gpu"}
    assert {"pretrain_backbone", "train_target", "rank_queries"} <= wanted == sent == set(profile["set-threads"])


def test_only_rules_that_stay_on_the_login_node_reach_the_network():
    def script(body):
        found = re.search(r'"\.\./(workflow_scripts/\w+\.py)"', body)
        return (ROOT / found[1]).read_text(encoding="utf-8") if found else ""

    online = {name for name, body in RULES.items() if "network=True" in script(body)}
    assert {"fetch_model", "mirror", "prepare_train"} <= online <= LOCAL


def test_members_of_a_submission_take_turns_counted_in_each_for_itself(profile):
    grouped = {line.split("=")[0] for line in profile["groups"]}
    assert grouped and grouped.isdisjoint(LOCAL)
    assert {name: profile["set-resources"][name]["in_turn"] for name in grouped} == dict.fromkeys(grouped, 1)
    assert profile["resources"] == ["in_turn=1"] and profile["set-resource-scopes"] == ["in_turn=local"]
