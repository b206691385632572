"""What lies in deploy/ is taken by what reads it: schemas of Kubernetes and Compose, systemd, nginx."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from bentoml._internal.container.generate import BENTO_UID_GID
from compose_spec import PyCompose

from serving.ingestion.stream_metrics import StreamMetrics
from serving.search.metrics import SEARCH_SECONDS, STAGE_SECONDS
from serving.web.middleware.metrics import FRAMES, IN_WORK, OPEN_GAPS, QUEUE_AGE, REFUSED, REQUESTS, SEGMENTS
from tests.helpers.certificates import write_certificate
from tests.helpers.project import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = "1.37"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = {
    f"{file.name} {number}": manifest
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for number, manifest in enumerate(yaml.safe_load_all(file.read_text()))
    if file.name != "kustomization.yaml"
}
_VARIABLE = re.compile(r"\$\{\w+:(?:-([^}]*)|\?[^}]*)\}")  # Compose puts in values before it reads
COMPOSE: dict[str, Any] = yaml.safe_load(
    _VARIABLE.sub(lambda found: found[1] or "0a1b2c", (DEPLOY / "compose" / "compose.yaml").read_text())
)
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "dongseon"}
SERVICE = yaml.safe_load((ROOT / "conf" / "serving" / "deployment.yaml").read_text())["service"]


def pods() -> dict[str, Any]:
    return {name: each["spec"]["template"]["spec"] for name, each in MANIFESTS.items() if "template" in each["spec"]}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_fits_the_schema_of_kubernetes(name: str) -> None:
    assert kubernetes_validate.validate(MANIFESTS[name], KUBERNETES, strict=True) == KUBERNETES


def test_the_schema_would_notice_a_wrong_key() -> None:
    wrong = copy.deepcopy(MANIFESTS["service.yaml 0"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_the_kustomization_lists_every_manifest() -> None:
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert {name.split()[0] for name in MANIFESTS} == set(listed)


def test_all_pods_run_as_the_user_of_the_image_on_a_root_that_is_only_read() -> None:
    assert len(pods()) == 4
    (all_alike,) = {
        str({**each["securityContext"], "token": each["automountServiceAccountToken"]}) for each in pods().values()
    }
    assert f"'runAsUser': {BENTO_UID_GID}" in all_alike
    assert "'runAsNonRoot': True" in all_alike
    assert "'token': False" in all_alike
    containers = [container for pod in pods().values() for container in pod["containers"]]
    assert all(container["securityContext"] == containers[0]["securityContext"] for container in containers)
    to_store = min((container["env"] for container in containers), key=len)  # the service has addresses besides
    assert all(container["env"][: len(to_store)] == to_store for container in containers)
    assert containers[0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_labels_of_services_policies_and_pods_fit() -> None:
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in MANIFESTS.values() if "template" in each["spec"]
    ]
    selectors = [
        chosen.get("matchLabels", chosen)
        for each in MANIFESTS.values()
        for chosen in (each["spec"].get("selector"), each["spec"].get("podSelector"))
        if chosen
    ]
    assert len(selectors) == 8
    assert all(any(selector.items() <= pod.items() for pod in labels) for selector in selectors)


def test_the_compose_file_fits_the_specification() -> None:
    compose = PyCompose.from_json(json.dumps(COMPOSE))
    compose.validate()
    assert set(compose.service_names()) == {"database", "service", "worker", "streams", "proxy"}


def test_the_specification_would_notice_a_wrong_key_and_a_volume_that_is_not_there() -> None:
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["service"]["readonly"] = True
    with pytest.raises(ValueError, match="readonly"):
        PyCompose.from_json(json.dumps(wrong))
    without = copy.deepcopy(COMPOSE)
    del without["volumes"]["store"]
    with pytest.raises(ValueError, match="store"):
        PyCompose.from_json(json.dumps(without)).validate()


def test_only_the_proxy_is_reached_from_outside_and_nothing_of_ours_may_write_but_the_store() -> None:
    assert [name for name, each in COMPOSE["services"].items() if "ports" in each] == ["proxy"]
    for each in OURS.values():
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])
        assert each["environment"]["DONGSEON_STORE"].startswith("/var/lib/dongseon/")
        assert "store:/var/lib/dongseon" in each["volumes"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(re.sub(r"/srv/dongseon/venv/bin/\w+", "/bin/true", unit.read_text()))
    files = [str(tmp_path / unit.name) for unit in UNITS]
    ended = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_keeps_files_private_and_starts_its_process_again(unit: Path) -> None:
    said = unit.read_text().splitlines()
    assert {"User=dongseon", "UMask=0077", "Restart=always", "KillMode=control-group", "NoNewPrivileges=yes"} <= {*said}
    assert "PrivateTmp=yes" in said, "what killed processes leave in the temporary folder goes with the service"


def test_nginx_takes_the_configuration_of_the_proxy(tmp_path: Path) -> None:
    if (nginx := shutil.which("nginx", path="/usr/sbin:/usr/bin")) is None:
        pytest.skip("nginx is not installed")
    certificate = write_certificate(tmp_path)
    text = (DEPLOY / "compose" / "nginx.conf").read_text().replace("//service:", "//127.0.0.1:")
    text = text.replace("/etc/nginx/certificates/server.pem", str(certificate))
    text = text.replace("/etc/nginx/certificates/server.key", str(certificate.with_suffix(".key")))
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{text}\n}}\n")
    ended = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "[warn]" not in ended.stderr


def test_the_proxy_has_the_limits_of_the_service() -> None:
    said = (DEPLOY / "compose" / "nginx.conf").read_text()
    assert f"client_max_body_size {SERVICE['max_upload_bytes']};" in said
    (waits_s,) = re.findall(r"proxy_read_timeout (\d+)s;", said)
    assert int(waits_s) > SERVICE["timeout_s"]


def test_the_manual_trusts_the_network_of_the_compose_file() -> None:
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert f"serving.service.trusted_proxies=[{network['subnet']}]" in (ROOT / "docs" / "deploy.md").read_text()


DASHBOARD = json.loads((DEPLOY / "grafana" / "dongseon.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
_NAME = re.compile(r"\b(?:dongseon|bentoml)_\w+")


def promtool(*arguments: str | Path) -> None:
    if (program := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed")
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def measured() -> set[str]:
    """Names of the samples that the service and the live cameras answer."""
    families = [
        *(
            metric
            for each in (REQUESTS, IN_WORK, REFUSED, SEGMENTS, QUEUE_AGE, FRAMES, OPEN_GAPS)
            for metric in each.collect()
        ),
        *(metric for each in (SEARCH_SECONDS, STAGE_SECONDS) for metric in each.collect()),
        *StreamMetrics("demo", {}).collect(),
    ]
    endings = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return {metric.name + ending for metric in families for ending in endings[metric.type]}


def test_each_rule_fires_when_it_should_and_only_then() -> None:
    promtool("check", "rules", DEPLOY / "prometheus" / "alerts.yaml")
    promtool("test", "rules", DEPLOY / "prometheus" / "alerts_test.yaml")
    cases = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yaml").read_text())["tests"]
    for case in cases:
        assert [one["alertname"] for one in case["alert_rule_test"]] == [rule["alert"] for rule in RULES]
    assert all(one["exp_alerts"] for one in cases[1]["alert_rule_test"])


def test_prometheus_takes_the_configuration_and_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    queries = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": queries}]}))
    promtool("check", "rules", tmp_path / "rules.yaml")
    promtool("check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yaml")


def test_rules_and_dashboard_ask_for_metrics_that_exist_and_the_dashboard_for_all() -> None:
    shown = {name for query in QUERIES for name in _NAME.findall(query)}
    asked = shown | {name for rule in RULES for name in _NAME.findall(rule["expr"])}
    ours = {name for name in asked if name.startswith("dongseon_")}
    assert ours <= measured()
    assert asked - ours == {f"bentoml_service_adaptive_batch_size_{ending}" for ending in ("sum", "count")}
    whole = {re.sub(r"_(bucket|sum|count)$", "", name) for name in measured()}
    assert {re.sub(r"_bucket$", "", name) for name in shown if name.startswith("dongseon_")} == whole


def test_panels_of_the_dashboard_have_numbers_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
