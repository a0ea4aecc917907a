"""deploy/: two replicas behind nginx and behind HAProxy, one of them killed; the other files parse."""

import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import servers

pytestmark = pytest.mark.ours
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def nginx(folder, port, replicas):
    text = (DEPLOY / "nginx.conf").read_text()
    for was, replica in zip(("127.0.0.1:8081", "127.0.0.1:8082"), replicas):
        assert was in text
        text = text.replace(was, f"127.0.0.1:{replica.port}")
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    text = text.replace("/run/nginx.pid", f"{folder}/nginx.pid")
    text = text.replace("/var/log/nginx", str(folder))
    # An unprivileged nginx keeps its temporary files here too.
    paths = "".join(
        f"    {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    text = text.replace("http {\n", "http {\n" + paths, 1)
    path = folder / "nginx.conf"
    path.write_text("daemon off;\n" + text)
    subprocess.run(["nginx", "-t", "-q", "-c", path], check=True)
    return ["nginx", "-c", path]


def haproxy(folder, port, replicas):
    text = (DEPLOY / "haproxy.cfg").read_text()
    for was, replica in zip(("127.0.0.1:8081", "127.0.0.1:8082"), replicas):
        assert was in text
        text = text.replace(was, f"127.0.0.1:{replica.port}")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
    path = folder / "haproxy.cfg"
    path.write_text(text)
    subprocess.run(["haproxy", "-c", "-q", "-f", path], check=True)
    return ["haproxy", "-db", "-f", path]


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def front(request, start, tmp_path):
    """The address of a proxy before two replicas, and the replicas."""
    program = request.param.__name__
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    replicas = [start(threads=1), start(threads=1)]
    port = servers.free_port()
    process = subprocess.Popen(request.param(tmp_path, port, replicas))
    base = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(f"{base}/health").status_code == 200:
                break
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    yield base, replicas
    process.terminate()
    process.wait(20)
    for replica in replicas:
        replica.stop()


def served(replica):
    """Requests that a replica's engine has taken."""
    return httpx.get(f"{replica.base}/engine").json()["requests"]


def ask(base, model, session, **more):
    answer = httpx.post(
        f"{base}/v1/chat/completions", timeout=120, headers={"X-Session-Id": session},
        json={"model": model, "max_tokens": 2, "temperature": 0, "messages": [
            {"role": "user", "content": f"I am {session}."}], **more})
    assert answer.status_code == 200, answer.text
    return answer


def home(base, replicas, session):
    """Which replica a session is served by."""
    before = [served(replica) for replica in replicas]
    ask(base, replicas[0].model, session)
    changed = [
        index for index, replica in enumerate(replicas) if served(replica) != before[index]]
    assert len(changed) == 1
    return changed[0]


def test_sessions_stay_and_survive_a_kill(front):
    base, replicas = front
    model = replicas[0].model
    sessions = [f"session-{number}" for number in range(12)]
    homes = {session: home(base, replicas, session) for session in sessions}
    assert set(Counter(homes.values())) == {0, 1}, "sessions are spread"
    for session in sessions[:6]:
        assert home(base, replicas, session) == homes[session], "a session stays"

    # Streams come through piece by piece, not at the end.
    times = []
    with httpx.stream(
            "POST", f"{base}/v1/chat/completions", timeout=120, json={
                "model": model, "stream": True, "max_tokens": 24, "ignore_eos": True,
                "messages": [{"role": "user", "content": "Count."}]}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                times.append(time.monotonic())
    assert len(times) > 12 and times[-2] - times[1] > 0.5 * (times[-1] - times[0]) > 0

    replicas[1].process.kill()
    replicas[1].process.wait()
    failures = []

    def knock(session):
        try:
            ask(base, model, session)
        except (AssertionError, httpx.HTTPError) as failure:
            failures.append((session, str(failure)[:300]))
    threads = [threading.Thread(target=knock, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    stayed = [session for session in sessions if homes[session] == 0]
    assert stayed and all(home(base, replicas[:1], session) == 0 for session in stayed[:3])


def test_the_systemd_unit_is_valid(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "yuyan.service"
    text = (DEPLOY / "yuyan.service").read_text()
    assert "/usr/local/bin/yuyan" in text
    unit.write_text(text.replace("/usr/local/bin/yuyan", shutil.which("true")))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)
    ours = [line for line in done.stdout.splitlines() if "yuyan.service" in line]
    assert not ours and done.returncode == 0, done.stdout


def test_the_kubernetes_objects_fit_together():
    import yaml
    objects = {
        entry["kind"]: entry
        for entry in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
    assert set(objects) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    deployment = objects["Deployment"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
            deployment["selector"]["matchLabels"], objects["Service"]["spec"]["selector"],
            objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    pod = deployment["template"]["spec"]
    container, = pod["containers"]
    named = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
    assert named == set(objects["ConfigMap"]["data"])
    # The key is in the environment, where ps does not show it.
    secret, = container["env"]
    assert secret["name"] == "YUYAN_API_KEY" and "secretKeyRef" in secret["valueFrom"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/health"
    assert pod["terminationGracePeriodSeconds"] > 30
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_every_option_in_deploy_exists(start):
    import conftest
    known = subprocess.run(
        [conftest.BINARY, "serve", "--help"], stdout=subprocess.PIPE, text=True).stdout
    for file in DEPLOY.iterdir():
        for line in file.read_text().splitlines():
            # Options of `yuyan`: in a list of arguments, on its command line or in its variable.
            if re.match(r"\s+- --|ExecStart=|#     YUYAN_OPTIONS=", line):
                for option in re.findall(r"--[a-z][a-z-]*", line):
                    assert option in known, f"{file.name}: {option}"
