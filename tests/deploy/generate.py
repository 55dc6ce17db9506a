"""What in ``deploy/kubernetes`` is made from something else: ``python -m tests.deploy.generate`` writes it anew.

kustomize reads nothing outside of its own folder, so the result is committed, and a test compares it.
"""

from collections.abc import Iterator
from pathlib import Path

from vmcrawl.address import CLOSED_V4, CLOSED_V6, GLOBAL_UNICAST, NAT64, Network, open_networks

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"

_INTERNET = """\
# Made from vmcrawl/address.py by `python -m tests.deploy.generate`, do not edit: what the program refuses to connect to
# is closed here, too. This holds for whatever runs in these pods, and that for clusters that know no policies.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: vmcrawl-internet
spec:
  podSelector:
    matchLabels: {app.kubernetes.io/name: vmcrawl}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [crawler, refresh, discovery]}
  policyTypes: [Egress]
  egress:
    - ports:
        - {protocol: TCP, port: 443}
      to:
"""

_PROMETHEUS_RULE = """\
# Made from deploy/prometheus/rules.yaml by `python -m tests.deploy.generate`, do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: vmcrawl
  labels:
    app.kubernetes.io/name: vmcrawl
    app.kubernetes.io/part-of: vmcrawl
    # kube-prometheus-stack takes only what bears the name of its Helm release: ../../README.md.
    release: kube-prometheus-stack
spec:
"""


def generated() -> dict[Path, str]:
    """Each file that is made, and what is to be in it."""
    return {
        KUBERNETES / "base" / "internet.yaml": _INTERNET + "".join(_blocks()),
        KUBERNETES / "components" / "prometheus-operator" / "prometheusrule.yaml": _PROMETHEUS_RULE + _indented(RULES),
    }


def _blocks() -> Iterator[str]:
    why = {str(network): what for network, what in (*CLOSED_V4.items(), *CLOSED_V6.items())}
    for network, holes in open_networks().items():
        if network == NAT64:
            yield "        # NAT64: the same networks, as the last 32 bits of an address.\n"
        if network == GLOBAL_UNICAST:
            yield "        # All of IPv6 that is global unicast.\n"
        yield f"        - ipBlock:\n            cidr: {_quoted(network)}\n            except:\n"
        for hole in holes:
            reason = f"  # {why[str(hole)]}" if str(hole) in why else ""
            yield f"              - {_quoted(hole)}{reason}\n"


def _quoted(network: Network) -> str:
    # Colons and slashes mean nothing in YAML here, but not every reader of it knows.
    return f'"{network}"'


def _indented(path: Path) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in path.read_text().splitlines())


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
