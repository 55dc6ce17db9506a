"""``deploy/kubernetes`` renders, is what the API server takes and what the program understands, and says so itself.

No cluster was at hand: what admission, controllers and a network plugin make of it has not been seen.
"""

import json
import re
from datetime import timedelta
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.generate import KUBERNETES, ROOT, RULES, generated
from tests.deploy.manifests import COMPONENTS, OVERLAYS, RENDERED, Document, name_of, of_kind, pods, rendered
from tests.deploy.policy import problems
from tests.deploy.policy.jobs import interval
from tests.deploy.policy.references import BY_THE_OPERATOR
from vmcrawl.config import load_config
from vmcrawl.settings import Settings

VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
#: Those of the Prometheus Operator; tests/deploy/policy/monitors.py knows what we use of them.
WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule"}
everything = pytest.mark.parametrize("name", RENDERED)


@everything
def test_nothing_is_wrong_with_what_is_applied(name):
    assert [str(problem) for problem in problems(rendered(name))] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_fits_the_schema_of_kubernetes(version):
    for document in _all_documents():
        if document["kind"] not in WITHOUT_SCHEMA:
            assert kubernetes_validate.validate(document, version, strict=True) == version


def test_a_field_that_does_not_exist_fits_no_schema():
    (document,) = (each for each in rendered("base") if name_of(each) == "CronJob/vmcrawl-crawl")
    changed = json.loads(json.dumps(document))
    changed["spec"]["jobTemplate"]["spec"]["podFailurePolicies"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="podFailurePolicies"):
        kubernetes_validate.validate(changed, VERSIONS[0], strict=True)


def test_every_component_that_makes_sense_together_is_in_the_example():
    example = yaml.safe_load((KUBERNETES / "overlays" / "example" / "kustomization.yaml").read_text())
    assert {Path(path).name for path in example["components"]} == {*COMPONENTS} - {"many-machines", "web-tls"}


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_what_is_made_from_something_else_is_up_to_date(path):
    assert path.read_text() == generated()[path], "python -m tests.deploy.generate"


def test_the_rules_in_the_cluster_are_those_of_prometheus():
    (rule,) = of_kind(rendered("+prometheus-operator"), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(RULES.read_text())


def test_the_scrape_in_the_cluster_is_that_of_the_example_for_prometheus():
    (monitor,) = of_kind(rendered("+prometheus-operator"), "ServiceMonitor")
    (job,) = yaml.safe_load((RULES.parent / "scrape-config.example.yaml").read_text())["scrape_configs"]
    spec, endpoint = monitor["spec"], monitor["spec"]["endpoints"][0]
    assert [endpoint["interval"], endpoint["scrapeTimeout"]] == [job["scrape_interval"], job["scrape_timeout"]]
    assert [spec["sampleLimit"], spec["labelValueLengthLimit"], spec["bodySizeLimit"]] == [
        job["sample_limit"],
        job["label_value_length_limit"],
        job["body_size_limit"],
    ]


def test_the_settings_of_a_cluster_and_all_settings_load():
    assert load_config(ROOT / "config.yaml", {"HOME": "/nowhere"}, {}).crawl == Settings().crawl
    for path in sorted(KUBERNETES.rglob("config.yaml")):
        settings = load_config(path, {}, {})
        # The rest is as it comes; a default that changes does so here, too.
        assert settings.exporter.listen == (":9877",), path
        assert settings.log.format == "json", path
        assert settings.crawl == Settings().crawl, path


def test_the_example_leaves_it_to_the_operator_who_is_asked():
    # With an address of ours in it, servers would complain to somebody who has nothing to do with it.
    assert load_config(KUBERNETES / "overlays" / "example" / "config.yaml", {}, {}).http == Settings().http


def test_a_change_of_settings_gives_them_another_name():
    names = {each["metadata"]["name"] for name in ("base", "overlays/example") for each in _settings(name)}
    assert len(names) == 2
    assert all(re.fullmatch(r"vmcrawl-config-[a-z0-9]{10}", name) for name in names)


def test_every_dashboard_is_in_the_folder_where_it_is_provisioned():
    provisioned = yaml.safe_load((ROOT / "grafana" / "provisioning" / "dashboards" / "vmcrawl.yaml").read_text())
    folders = {Path(each["options"]["path"]).name: each["folder"] for each in provisioned["providers"]}
    shared = re.findall(r"dashboards/vmcrawl/(\w+)/(\w+\.json)", (ROOT / "grafana" / "README.md").read_text())
    found = {
        (document["metadata"]["annotations"]["grafana_folder"], file): text
        for document in of_kind(rendered("+dashboards"), "ConfigMap")
        if document["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for file, text in document["data"].items()
    }
    assert found.keys() == {(folders[folder], file) for folder, file in shared}
    assert {file: text for (_, file), text in found.items()} == {
        path.name: path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json")
    }


@everything
def test_no_document_is_larger_than_kubectl_apply_can_note(name):
    # It keeps all of it in an annotation, and annotations may have 256 KiB together.
    assert max(len(json.dumps(document)) for document in rendered(name)) < 250 << 10


def test_the_crawl_comes_as_often_as_the_alerts_expect():
    (crawl,) = (pod for pod in pods(rendered("base")) if pod.component == "crawler")
    assert crawl.cron is not None
    assert interval(crawl.cron) == timedelta(hours=1)
    (refresh,) = (pod for pod in pods(rendered("base")) if pod.component == "refresh")
    assert refresh.cron is not None
    assert interval(refresh.cron) == timedelta(hours=6)


def test_what_a_container_may_see_of_the_secret_is_its_own_key():
    (exporter,) = (pod for pod in pods(rendered("base")) if pod.component == "exporter")
    seen = {
        container["name"]: {
            item["key"]
            for mount in container["volumeMounts"]
            for item in (exporter.volume(mount["name"]) or {}).get("secret", {}).get("items", [])
        }
        for container in exporter.containers
    }
    assert seen == {"migrate": {"url"}, "exporter": {"reader-url"}}


def test_the_readme_names_every_secret_with_its_keys_every_component_and_every_overlay():
    text = (KUBERNETES / "README.md").read_text()
    for secret, keys in BY_THE_OPERATOR.items():
        assert f"`{secret}`" in text
        assert all(f"`{key}`" in text for key in keys), secret
    assert set(re.findall(r"`components/([\w-]+)`", text)) == {*COMPONENTS}
    assert set(re.findall(r"`overlays/([\w-]+)`", text)) == {*OVERLAYS}


def test_every_piece_of_yaml_in_the_readme_can_be_used():
    text = (KUBERNETES / "README.md").read_text()
    pieces = [yaml.safe_load(piece) for piece in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert pieces
    known = {name_of(document) for document in _all_documents()}
    for patch in (patch for piece in pieces if isinstance(piece, dict) for patch in piece.get("patches", [])):
        assert f"{patch['target']['kind']}/{patch['target']['name']}" in known
        assert all(operation["op"] in {"add", "replace", "remove"} for operation in yaml.safe_load(patch["patch"]))


def _settings(name: str) -> list[Document]:
    return [each for each in of_kind(rendered(name), "ConfigMap") if "vmcrawl-config" in each["metadata"]["name"]]


@cache
def _all_documents() -> tuple[Document, ...]:
    """All that is rendered anywhere, each once."""
    texts = {json.dumps(document, sort_keys=True) for name in RENDERED for document in rendered(name)}
    return tuple(json.loads(text) for text in sorted(texts))
