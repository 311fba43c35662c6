"""The manifests of examples/deploy would be taken by Kubernetes and its operators, and fit together.

They are held against schemas that say what is used of each kind and nothing more (schemas/*.json, with their
sources): a name that is misspelt is no field's name.  What no schema can say, that names lead somewhere, is
looked at by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")
from referencing import Registry, Resource  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MANIFESTS = ROOT / "examples" / "deploy"
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
FILES = sorted(MANIFESTS.glob("*.yaml"))
SCHEMAS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in HERE.glob("schemas/*.json")}
REGISTRY: Any = Registry().with_resources((name, Resource.from_contents(s)) for name, s in SCHEMAS.items())
GROUPS = {"kubernetes.dask.org": "dask.json", "ray.io": "kuberay.json"}

Tree = Any


def documents(path: Path) -> list[Tree]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


ALL = [(path.name, document) for path in FILES for document in documents(path)]


def mistakes(document: Tree) -> list[str]:
    """What is wrong with a manifest, and where: the mistakes that `kubectl apply --dry-run=server` finds."""
    group = document["apiVersion"].rpartition("/")[0]
    schema = {"$ref": f"{GROUPS.get(group, 'core.json')}#/$defs/{document['kind']}"}
    found = jsonschema.Draft202012Validator(schema, registry=REGISTRY).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


def of_kind(kind: str) -> Tree:
    return deepcopy(next(document for _, document in ALL if document["kind"] == kind))


def everything(tree: Tree) -> Iterator[Tree]:
    """The tree, and all that is in it."""
    yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from everything(part)


def having(tree: Tree, field: str) -> list[Tree]:
    """All mappings in it that have this field."""
    return [part for part in everything(tree) if isinstance(part, dict) and field in part]


def pods(tree: Tree) -> list[Tree]:
    return having(tree, "containers")


PODS = [pod for _, document in ALL for pod in pods(document)]


# --- as Kubernetes sees them ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "document"), ALL, ids=[f"{name}-{one['kind']}" for name, one in ALL])
def test_a_manifest_is_as_its_kind_has_to_be(name, document):
    assert mistakes(document) == []


def test_all_kinds_that_there_are_schemas_of_are_used():
    kinds = {kind for schema in SCHEMAS.values() for kind, one in schema["$defs"].items() if _is_kind(one)}

    assert kinds == {document["kind"] for _, document in ALL}


def _is_kind(schema: Tree) -> bool:
    return "const" in schema.get("properties", {}).get("kind", {})


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_and_refuses_all_that_it_does_not_name(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    objects = [part for part in having(SCHEMAS[name], "type") if part["type"] == "object"]

    assert objects
    assert [one for one in objects if one.get("additionalProperties", True) is True] == []
    assert re.search(r"Source: https://github.com/\S+ at v?\d", SCHEMAS[name]["$comment"])


# What somebody gets wrong: the kind, where, and what stands there then.
BROKEN: list[tuple[str, str, Callable[[Tree], object]]] = [
    ("Job", "backoffLimits", lambda job: job["spec"].update(backoffLimits=job["spec"].pop("backoffLimit"))),
    ("Job", "'6'", lambda job: job["spec"].update(backoffLimit="6")),
    ("Job", "restartPolicy", lambda job: job["spec"]["template"]["spec"].update(restartPolicy="Always")),
    ("Job", "Never", lambda job: job["spec"]["template"]["spec"].update(restartPolicy="OnFailure")),
    ("Job", "image", lambda job: container(job).pop("image")),
    ("Job", "imagePullpolicy", lambda job: container(job).update(imagePullpolicy="Always")),
    ("Job", "'liteflow run'", lambda job: container(job).update(command="liteflow run")),
    ("Job", "volumeMount", lambda job: container(job).update(volumeMount=container(job).pop("volumeMounts"))),
    ("Job", "mountPath", lambda job: container(job)["volumeMounts"][0].update(mountPath="data")),
    ("Job", "'yes'", lambda job: container(job)["volumeMounts"][0].update(readOnly="yes")),
    ("Job", "1 is not of type 'string'", lambda job: container(job)["env"].append({"name": "N", "value": 1})),
    ("Job", "2 GB", lambda job: container(job)["resources"]["limits"].update(memory="2 GB")),
    ("Job", "mem", lambda job: container(job)["resources"]["limits"].update(mem="2Gi")),
    ("Job", "claim", lambda job: job["spec"]["template"]["spec"]["volumes"][0].update(claim="store")),
    ("Job", "FailRun", lambda job: job["spec"]["podFailurePolicy"]["rules"][0].update(action="FailRun")),
    ("Job", "True", lambda job: condition(job).update(status=True)),
    ("Job", "Liteflow", lambda job: job["metadata"].update(name="Liteflow_Driver")),
    ("Job", "batch/v1", lambda job: job.update(apiVersion="batch/v1beta1")),
    ("PersistentVolumeClaim", "ReadWriteTwice", lambda c: c["spec"].update(accessModes=["ReadWriteTwice"])),
    ("PersistentVolumeClaim", "storage", lambda c: c["spec"]["resources"]["requests"].clear()),
    ("PersistentVolumeClaim", "10 GB", lambda c: c["spec"]["resources"]["requests"].update(storage="10 GB")),
    ("ServiceAccount", "automount", lambda a: a.update(automountServiceAccountTokens=False)),
    ("ConfigMap", "is not of type 'string'", lambda c: c["data"].update({"n": 1})),
    ("ConfigMap", "a/b", lambda c: c["data"].update({"a/b": "text"})),
    ("RayCluster", "headGroupSpec", lambda c: c["spec"].pop("headGroupSpec")),
    ("RayCluster", "workerGroupSpec'", lambda c: c["spec"].update(workerGroupSpec=[])),
    ("RayCluster", "0 is not of type 'string'", lambda c: head(c)["rayStartParams"].update({"num-cpus": 0})),
    ("RayCluster", "minReplicas", lambda c: c["spec"]["workerGroupSpecs"][0].pop("minReplicas")),
    ("RayCluster", "'3'", lambda c: c["spec"]["workerGroupSpecs"][0].update(replicas="3")),
    ("RayCluster", "containers", lambda c: head(c)["template"]["spec"].pop("containers")),
    ("RayCluster", "70000", lambda c: container(c)["ports"][0].update(containerPort=70000)),
    ("RayJob", "entryPoint", lambda job: job["spec"].update(entryPoint="python flow.py")),
    ("RayJob", "'true'", lambda job: job["spec"].update(shutdownAfterJobFinishes="true")),
    ("RayJob", "shutdownAfterJobFinishes", lambda job: job["spec"].pop("shutdownAfterJobFinishes")),
    ("DaskCluster", "service", lambda c: c["spec"]["scheduler"].pop("service")),
    ("DaskCluster", "replica'", lambda c: c["spec"]["worker"].update(replica=3)),
    ("DaskCluster", "workers", lambda c: c["spec"].update(workers=c["spec"].pop("worker"))),
    ("DaskCluster", "1 is not of type 'string'", lambda c: container(c)["args"].append(1)),
    (
        "DaskCluster",
        "a-name-too-long-for-a-port",
        lambda c: port(c).update(name="a-name-too-long-for-a-port"),
    ),
]


def container(tree: Tree) -> Tree:
    return pods(tree)[0]["containers"][0]


def condition(job: Tree) -> Tree:
    return job["spec"]["podFailurePolicy"]["rules"][1]["onPodConditions"][0]


def head(cluster: Tree) -> Tree:
    return cluster["spec"]["headGroupSpec"]


def port(cluster: Tree) -> Tree:
    return cluster["spec"]["scheduler"]["service"]["ports"][0]


@pytest.mark.parametrize(
    ("kind", "says", "spoil"), BROKEN, ids=[f"{kind}-{says}" for kind, says, _ in BROKEN]
)
def test_a_mistake_in_a_manifest_is_found_and_named(kind, says, spoil):
    document = of_kind(kind)
    assert mistakes(document) == []

    spoil(document)

    assert [one for one in mistakes(document) if says in one], mistakes(document)


# --- as they fit together ------------------------------------------------------------------


def named(kind: str) -> dict[str, Tree]:
    return {document["metadata"]["name"]: document for _, document in ALL if document["kind"] == kind}


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["containers"][0]["name"])
def test_what_a_pod_names_is_there(pod):
    for volume in pod.get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in named("PersistentVolumeClaim")
        if "configMap" in volume:
            assert volume["configMap"]["name"] in named("ConfigMap")
    if "serviceAccountName" in pod:
        assert pod["serviceAccountName"] in named("ServiceAccount")
    volumes = [volume["name"] for volume in pod.get("volumes", ())]
    for one in pod["containers"] + pod.get("initContainers", []):
        assert {mount["name"] for mount in one.get("volumeMounts", ())} <= set(volumes)
        probed = one.get("readinessProbe", {}).get("tcpSocket", {}).get("port")
        assert probed is None or probed in [port["name"] for port in one["ports"]]
        for variable in one.get("env", ()):
            if "valueFrom" in variable:
                # It is in no file: the page says how it is made.
                secret = variable["valueFrom"]["secretKeyRef"]
                assert f"create secret generic {secret['name']} --from-literal={secret['key']}=" in PAGE


def test_drivers_go_to_a_service_that_an_operator_makes():
    # KubeRay calls the service of a head NAME-head-svc, dask-kubernetes that of a scheduler NAME-scheduler.
    services = {f"{name}-head-svc:6379" for name in named("RayCluster")}
    services |= {f"{name}-scheduler:8786" for name in named("DaskCluster")}
    asked = {
        found
        for path in FILES
        for found in re.findall(r"[\w-]+-(?:head-svc|scheduler):\d+", path.read_text(encoding="utf-8"))
    }

    assert asked == services


def test_the_scheduler_of_dask_is_what_its_service_selects():
    for name, cluster in named("DaskCluster").items():
        scheduler = cluster["spec"]["scheduler"]
        ports = {port["name"] for port in scheduler["spec"]["containers"][0]["ports"]}

        assert scheduler["service"]["selector"] == {
            "dask.org/cluster-name": name,
            "dask.org/component": "scheduler",
        }
        assert {port["targetPort"] for port in scheduler["service"]["ports"]} <= ports


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_driver_and_its_cluster_are_of_one_image(path):
    images = {part["image"] for document in documents(path) for part in having(document, "image")}

    assert len(images) <= 1


def test_the_version_of_ray_is_that_of_the_image():
    dockerfile = (MANIFESTS / "Dockerfile").read_text(encoding="utf-8")
    base = re.search(r"^ARG BASE=rayproject/ray:([\d.]+)-", dockerfile, re.MULTILINE)
    said = {part["rayVersion"] for _, document in ALL for part in having(document, "rayVersion")}

    assert base is not None and said == {base[1]}


def test_the_flow_that_is_mounted_is_the_example():
    [flow] = [document["data"] for document in named("ConfigMap").values()]

    assert flow == {"pi.py": (MANIFESTS / "pi.py").read_text(encoding="utf-8")}


def test_a_driver_keeps_its_store_on_the_disk_that_outlives_it():
    drivers = [pod for pod in PODS if "LITEFLOW_DB" in json.dumps(pod)]

    assert len(drivers) == 3
    for pod in drivers:
        driver = pod["containers"][0]
        [db] = [one["value"] for one in driver["env"] if one["name"] == "LITEFLOW_DB"]
        [mount] = [one for one in driver["volumeMounts"] if one["name"] == "data"]
        assert Path(db).parent == Path(mount["mountPath"])
        assert {"name": "data", "persistentVolumeClaim": {"claimName": "liteflow-store"}} in pod["volumes"]
    commands = [json.dumps(one) for _, one in ALL if one["kind"] in ("Job", "RayJob")]
    assert all("--run-id" in command for command in commands)


def test_the_page_shows_the_files_as_they_are():
    shown = re.findall(r"^```(?:yaml|py|dockerfile)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files = [
        path for path in MANIFESTS.iterdir() if path.suffix in (".yaml", ".py") or path.name == "Dockerfile"
    ]
    texts = [path.read_text(encoding="utf-8") for path in files]

    assert len(shown) >= 5
    assert [block for block in shown if not any(block in text for text in texts)] == []
    assert [path.name for path in files if f"examples/deploy/{path.name}" not in PAGE] == []
