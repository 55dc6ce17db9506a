"""Ways to break rendered manifests that no schema would notice: where, by what, and what has to be said of it.

Paths are words apart; a number is a place in a list, ``+`` one after its end. Where nothing else is said all components
are rendered on the base.
"""

from typing import Any, NamedTuple

GONE = object()

JOB = "spec jobTemplate spec"
POD = f"{JOB} template spec"
CRAWLER = f"{POD} containers 0"
SHOWN = "spec template spec"
EXPORTER = f"{SHOWN} containers 0"
SHOWS = "Deployment/vmcrawl-exporter"
RULES = f"{JOB} podFailurePolicy rules"
URL = "postgresql://vmcrawl:hunter2@db/vmcrawl"


class Mutant(NamedTuple):
    """One change, and a part of the sentence that some rule has to say of it."""

    document: str
    path: str
    value: Any
    said: str
    rendered: str = "+all"


def _crawl(path: str, value: Any, said: str) -> Mutant:
    return Mutant("CronJob/vmcrawl-crawl", path, value, said)


def _single(path: str, value: Any, said: str) -> Mutant:
    return Mutant("CronJob/vmcrawl-crawl", path, value, said, "base")


def _exporter(path: str, value: Any, said: str) -> Mutant:
    return Mutant(SHOWS, path, value, said)


def _policy(name: str, path: str, value: Any, said: str) -> Mutant:
    return Mutant(f"NetworkPolicy/{name}", path, value, said)


def _monitor(path: str, value: Any, said: str) -> Mutant:
    return Mutant("ServiceMonitor/vmcrawl", path, value, said)


_JOBS = [
    _crawl("metadata name", "vmcrawl-" + "c" * 45, "longer than 52"),
    _crawl("spec schedule", "17 * * *", "is no schedule"),
    _crawl("spec schedule", "17 24 * * *", "is no schedule"),
    _crawl("spec schedule", "*/0 * * * *", "is no schedule"),
    _crawl("spec schedule", "@hourly", "is no schedule"),
    _crawl("spec schedule", "17 * * * 1-8", "is no schedule"),
    _crawl("spec schedule", "0 * * * *", "at the full hour"),
    _crawl("spec schedule", "17,47 * * * *", "when the next should have begun"),
    _crawl("spec timeZone", GONE, "without timeZone"),
    _crawl("spec concurrencyPolicy", "Nope", "must be Forbid"),
    _crawl("spec concurrencyPolicy", GONE, "must be Forbid"),
    _crawl("spec startingDeadlineSeconds", 5, "startingDeadlineSeconds"),
    _crawl("spec startingDeadlineSeconds", 7200, "startingDeadlineSeconds"),
    _crawl("spec failedJobsHistoryLimit", GONE, "history limits"),
    _crawl(f"{POD} restartPolicy", "OnFailure", "need restartPolicy Never"),
    _crawl(f"{JOB} ttlSecondsAfterFinished", GONE, "ttlSecondsAfterFinished"),
    _crawl(f"{JOB} activeDeadlineSeconds", GONE, "activeDeadlineSeconds is not set"),
    _crawl(f"{JOB} activeDeadlineSeconds", 3590, "when the next should have begun"),
    _crawl(f"{JOB} activeDeadlineSeconds", 2900, "a run must end by itself"),
    _crawl(f"{JOB} podReplacementPolicy", "TerminatingOrFailed", "needs podReplacementPolicy Failed"),
    _crawl(f"{JOB} podReplacementPolicy", GONE, "podReplacementPolicy is not set"),
    _crawl(f"{RULES} 0 action", "Shrug", "is no action"),
    _crawl(f"{RULES} 0 action", "Count", "no rule of podFailurePolicy for a disruption"),
    _crawl(f"{RULES} 0 onPodConditions 0 status", True, "in quotation marks"),
    _crawl(f"{RULES} 0 onPodConditions 0 type", "DisruptionTargets", "for a disruption"),
    _crawl(f"{RULES} 0 onPodConditions", GONE, "either onExitCodes or onPodConditions"),
    _crawl(f"{RULES} 1 onExitCodes containerName", "crawl", "a container 'crawl'"),
    _crawl(f"{RULES} 1 onExitCodes operator", "Is", "is no operator"),
    _crawl(f"{RULES} 1 onExitCodes values", [78, 2], "in order"),
    _crawl(f"{RULES} 1 onExitCodes values", [0, 78], "0 is no failure"),
    _crawl(f"{RULES} 1 onExitCodes values", [75], "for exit code 78"),
    _crawl(f"{JOB} podFailurePolicy", GONE, "for exit code 78"),
    _single(f"{RULES} 1 action", "FailIndex", "FailIndex needs backoffLimitPerIndex"),
    _crawl(f"{JOB} completionMode", "Sharded", "is no completionMode"),
    _crawl(f"{JOB} completionMode", GONE, "completionMode is not Indexed"),
    _crawl(f"{JOB} completionMode", GONE, "needs completionMode Indexed"),
    _crawl(f"{JOB} completions", 5, "completions and parallelism differ"),
    _crawl(f"{JOB} completions", GONE, "without completions"),
    _crawl(f"{JOB} backoffLimitPerIndex", GONE, "each index has its own limit"),
    _crawl(f"{JOB} backoffLimit", 6, "each index has its own limit"),
    _single(f"{JOB} backoffLimit", GONE, "backoffLimit is not set"),
    _single(f"{JOB} parallelism", 2, "--run is missing"),
]

_WORKLOADS = [
    Mutant("Service/postgres-dev", "metadata name", "vmcrawl-exporter", "two of that name"),
    _crawl(f"{CRAWLER} image", "vmcrawl", "without a tag"),
    _crawl(f"{CRAWLER} image", "vmcrawl:latest", "one that moves"),
    _crawl(f"{CRAWLER} image", "vmcrawl:0.0.9", "the image is that of 0.0.9"),
    _crawl(f"{CRAWLER} image", "Vm Crawl:0.1.0", "is no name of an image"),
    Mutant("StatefulSet/postgres-dev", f"{EXPORTER} image", "postgres:18.1", "without a digest"),
    _crawl(f"{CRAWLER} resources", GONE, "must be set"),
    _exporter(f"{SHOWN} initContainers 0 resources limits", GONE, "must be set"),
    _crawl(f"{CRAWLER} resources limits cpu", GONE, "takes all cores"),
    _crawl(f"{CRAWLER} resources requests memory", "2Gi", "a request above its limit"),
    _crawl(f"{CRAWLER} resources limits memory", "1GB", "is no quantity"),
    _crawl(f"{CRAWLER} resources limits memory", "512Mi", "too small for what it would do"),
    _crawl(f"{CRAWLER} resources limits cpu", "4", "too small for what it would do"),
    _crawl(f"{CRAWLER} volumeMounts 0 mountPath", "/tmp", "two mounts at one path"),
    _crawl(f"{CRAWLER} volumeMounts 0 name", "settings", "no volume 'settings'"),
    _crawl(f"{CRAWLER} volumeMounts 0 readOnly", False, "is not mounted readOnly"),
    _crawl(f"{CRAWLER} volumeMounts 2", GONE, "/tmp is no emptyDir"),
    _crawl(f"{POD} volumes +", {"name": "more", "emptyDir": {"sizeLimit": "1Mi"}}, "nobody mounts 'more'"),
    _crawl(f"{POD} volumes 2 emptyDir", {}, "may fill the disk"),
    _crawl(f"{POD} topologySpreadConstraints 0 labelSelector", {"matchLabels": {"app": "x"}}, "count other pods"),
    _exporter(f"{EXPORTER} startupProbe", GONE, "are not probed"),
    _exporter(f"{EXPORTER} livenessProbe httpGet port", "http", "a port 'http' that is not there"),
    _exporter(f"{EXPORTER} ports 0 name", "web", "that is not there"),
    _exporter(f"{EXPORTER} readinessProbe httpGet path", "/metrics", "readinessProbe asks for"),
    _exporter(f"{EXPORTER} livenessProbe httpGet path", "/-/ready", "livenessProbe asks for"),
    _exporter("spec selector matchLabels", {"app.kubernetes.io/name": "vmcrawl"}, "its selector is for"),
    _exporter("spec template metadata labels app.kubernetes.io/component", "metrics", "its selector is for []"),
    Mutant("StatefulSet/postgres-dev", "spec serviceName", "postgres", "no Service 'postgres'"),
]

_SECURITY = [
    Mutant(
        "Namespace/vmcrawl",
        "metadata labels pod-security.kubernetes.io/enforce",
        "baseline",
        "not all restricted",
        "overlays/example",
    ),
    Mutant("ServiceAccount/vmcrawl", "automountServiceAccountToken", GONE, "automountServiceAccountToken must be"),
    _crawl(f"{POD} automountServiceAccountToken", GONE, "automountServiceAccountToken must be"),
    _exporter(f"{SHOWN} enableServiceLinks", GONE, "enableServiceLinks must be"),
    _crawl(f"{POD} serviceAccountName", "crawler", "no ServiceAccount 'crawler'"),
    _crawl(f"{POD} hostNetwork", True, "a namespace of the host"),
    _crawl(f"{POD} volumes 2", {"name": "tmp", "hostPath": {"path": "/tmp"}}, "that restricted refuses"),
    _crawl(
        f"{POD} volumes 2",
        {"name": "tmp", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        "holds a token",
    ),
    _crawl(f"{POD} securityContext sysctls", [{"name": "net.core.somaxconn", "value": "9"}], "sysctls"),
    _crawl(f"{POD} securityContext fsGroup", GONE, "without an fsGroup"),
    _crawl(f"{POD} dnsConfig options 0 value", "5", "no option ndots"),
    _crawl(f"{POD} securityContext runAsNonRoot", GONE, "may run as root"),
    _exporter(f"{SHOWN} initContainers 0 securityContext runAsUser", 0, "may run as root"),
    _crawl(f"{POD} securityContext runAsUser", 1000, "the user of the image"),
    _crawl(f"{POD} securityContext seccompProfile", GONE, "seccompProfile"),
    _crawl(f"{CRAWLER} securityContext seccompProfile", {"type": "Unconfined"}, "seccompProfile"),
    _crawl(f"{CRAWLER} securityContext privileged", True, "is privileged"),
    _exporter(f"{EXPORTER} securityContext allowPrivilegeEscalation", GONE, "allowPrivilegeEscalation"),
    _exporter(f"{SHOWN} initContainers 0 securityContext capabilities", GONE, "capabilities"),
    _crawl(f"{CRAWLER} securityContext capabilities add", ["NET_RAW"], "capabilities"),
    _exporter(f"{SHOWN} initContainers 0 securityContext readOnlyRootFilesystem", False, "readOnlyRootFilesystem"),
    _exporter(f"{EXPORTER} ports 0 hostPort", 9877, "has a port of the host"),
]

_PROGRAM = [
    _crawl(f"{CRAWLER} command", ["vmcrawl"], "command takes the place"),
    _crawl(f"{CRAWLER} args 0", "crawls", "invalid choice: 'crawls'"),
    _crawl(f"{CRAWLER} args +", "--polite", "unrecognized arguments: --polite"),
    _crawl(f"{CRAWLER} args 1", "--max-duration=1 hour", "argument --max-duration"),
    _single(f"{CRAWLER} args 1", GONE, "a run must end by itself"),
    _single(f"{CRAWLER} args 1", "--max-duration=56m", "a run must end by itself"),
    _single(f"{POD} terminationGracePeriodSeconds", 30, "less than crawl.grace"),
    _crawl(f"{CRAWLER} args 2", "--run=$(JOB)", "$(JOB) stays as it is"),
    _crawl(f"{CRAWLER} args 2", "--run=$(JOB_NAME)", "JOB_UID is no setting"),
    _crawl(f"{CRAWLER} args 2", "--run=every-hour", "the same name each time"),
    _crawl(f"{CRAWLER} args +", "--limit=1000", "what it does not go with"),
    _single(f"{CRAWLER} env +", {"name": "VMCRAWL_CONFIG", "value": "/etc/x"}, "is set twice"),
    _single(f"{CRAWLER} env +", {"name": "VMCRAWL_HTTP_CONTCT", "value": "x"}, "is no setting"),
    _single(f"{CRAWLER} env +", {"name": "VMCRAWL_DATABSE_URL", "value": "x"}, "is no setting"),
    _single(f"{CRAWLER} env +", {"name": "DATABASE_URL", "value": "x"}, "is no setting"),
    _single(f"{CRAWLER} env +", {"name": "VMCRAWL_CRAWL_GRACE", "value": "soon"}, "the configuration is refused"),
    _single(f"{CRAWLER} env 0 value", "/etc/vmcrawl/vmcrawl.yaml", "no volume has /etc/vmcrawl/vmcrawl.yaml"),
    _single(f"{CRAWLER} env 1 value", "/run/secrets/vmcrawl/reader-url", "no volume has"),
    _single(f"{CRAWLER} volumeMounts 1 mountPath", "/run/secrets", "no volume has /run/secrets/vmcrawl/url"),
    _single(f"{CRAWLER} env 1", GONE, "a Postgres of its own"),
    Mutant(SHOWS, f"{EXPORTER} env 1 name", "VMCRAWL_DATABASE_URL_FILE", "the key of the owner", "base"),
    Mutant(SHOWS, f"{EXPORTER} env 1", GONE, "without exporter.database_url", "base"),
    _exporter(f"{EXPORTER} args +", "--listen=:9878", "and its ports are"),
    _exporter(f"{EXPORTER} args +", "--listen=127.0.0.1:9877", "only the pod itself"),
    _exporter(f"{EXPORTER} ports 0 containerPort", 9090, "and its ports are"),
    _exporter(f"{EXPORTER} startupProbe httpGet scheme", "HTTP", "startupProbe does not speak HTTPS"),
    Mutant("ConfigMap/vmcrawl-config", "data config.yaml", "http:\n  contct: x\n", "http.contct", "base"),
    Mutant("ConfigMap/vmcrawl-config", "data config.yaml", "log:\n  format: xml\n", "log.format", "base"),
    Mutant("ConfigMap/vmcrawl-exporter-web", "data web.yaml", "tls: {}\n", "web configuration is refused"),
    Mutant(
        "ConfigMap/vmcrawl-exporter-web",
        "data web.yaml",
        "tls_server_config: {cert_file: /run/tls.crt, key_file: /run/tls.key}\n",
        "the web configuration names /run/tls.crt",
    ),
    Mutant(
        "ConfigMap/vmcrawl-exporter-web",
        "data web.yaml",
        "basic_auth_users: {prometheus: " + "$2y$10$" + "a" * 53 + "}\n",
        "lets no probe in",
    ),
]

_REFERENCES = [
    Mutant("ConfigMap/vmcrawl-config", "metadata name", "vmcrawl-settings", "no ConfigMap 'vmcrawl-config"),
    _crawl(f"{POD} volumes 1 secret secretName", "vmcrawl-db", "no Secret 'vmcrawl-db'"),
    _crawl(f"{POD} volumes 1 secret items 0 key", "uri", "has no 'uri'"),
    Mutant(
        "CronJob/vmcrawl-refresh", f"{CRAWLER} env 2 valueFrom secretKeyRef key", "pat", "'vmcrawl-github' has no 'pat'"
    ),
    _crawl(f"{CRAWLER} envFrom", [{"secretRef": {"name": "all-of-it"}}], "no Secret 'all-of-it'"),
    _crawl(f"{POD} volumes 1 secret defaultMode", 0o644, "readable for owner and group"),
    _crawl(f"{POD} volumes 1 secret items", GONE, "mounted with all its keys"),
    Mutant("Service/vmcrawl-exporter", "spec selector app.kubernetes.io/component", "metrics", "it leads to []"),
    Mutant("Service/vmcrawl-exporter", "spec selector", {"app.kubernetes.io/part-of": "vmcrawl"}, "it leads to ["),
    Mutant("Service/vmcrawl-exporter", "spec ports 0 targetPort", "http", "has no port 'http'"),
    Mutant("Service/vmcrawl-exporter", "spec ports 0 port", 80, "leads to another number"),
    Mutant(
        "Service/vmcrawl-exporter", "metadata namespace", "default", "in the namespace 'default'", "overlays/example"
    ),
]

_TO_ALL = [{"ports": [{"port": 443}]}]
_NETWORK = [
    _policy("vmcrawl-scrape", "spec podSelector matchLabels app.kubernetes.io/component", "x", "it is for no pod"),
    _policy("vmcrawl-default-deny", "spec policyTypes", ["Egress"], "no NetworkPolicy restricts its Ingress"),
    _policy("vmcrawl-scrape", "spec policyTypes", ["Egress"], "policyTypes does not name it"),
    _policy("vmcrawl-dns", "spec egress", _TO_ALL, "without peers is for everybody"),
    _policy("vmcrawl-scrape", "spec ingress 0 from", GONE, "without peers is for everybody"),
    _policy("vmcrawl-dns", "spec egress 0 to 0", {"podSelector": {}}, "is for every pod"),
    _policy("vmcrawl-dns", "spec egress 0 to 0 namespaceSelector", {}, "for every namespace"),
    _policy("vmcrawl-postgres", "spec egress 0 ports", GONE, "without ports is for all"),
    _policy("vmcrawl-postgres", "spec egress 0 ports 0 port", "postgres", "that of whoever is reached"),
    _policy("vmcrawl-scrape", "spec ingress 0 ports 0 port", "http", "has a port 'http'"),
    _policy("vmcrawl-internet", "spec egress 0 to 0 ipBlock except 1", GONE, "not what vmcrawl/address.py"),
    _policy("vmcrawl-internet", "spec egress 0 to 0 ipBlock except 1", "10.0.0.0/9", "not what vmcrawl/address.py"),
    _policy("vmcrawl-internet", "spec egress 0 to 0 ipBlock except +", "8.8.8.0/24", "not what vmcrawl/address.py"),
    _policy("vmcrawl-internet", "spec egress 0 to 2 ipBlock except 0", GONE, "not what vmcrawl/address.py"),
    _policy("vmcrawl-internet", "spec egress 0 to 1", GONE, "not what vmcrawl/address.py"),
    _policy("vmcrawl-internet", "spec egress 0 to 0 ipBlock except 1", "10.0.0.1/8", "has host bits set"),
    _policy("vmcrawl-internet", "spec egress 0 to 1 ipBlock except 0", "fc00::/7", "is no part of 2000::/3"),
    _policy("vmcrawl-internet", "spec egress 0 to 1 ipBlock except 0", "2000::/3", "is no part of 2000::/3"),
    _policy("vmcrawl-internet", "spec egress 0 to 1 ipBlock except 0", "10.0.0.0/8", "is no part of 2000::/3"),
    _policy("vmcrawl-internet", "spec egress 0 ports +", {"port": 80}, "at other ports than 443"),
    _policy("vmcrawl-internet", "spec egress 0 ports 0 endPort", 6000, "at other ports than 443"),
    _policy("vmcrawl-internet", "spec egress 0 ports 0 protocol", "UDP", "nobody is reached at port 443"),
    _policy("vmcrawl-internet", "spec podSelector matchExpressions", GONE, "no business outside"),
    _policy("vmcrawl-internet", "spec podSelector matchExpressions 0 values 1", "refreshing", "nobody is reached at"),
    _policy("vmcrawl-dns", "spec egress 0 ports 1", GONE, "it cannot ask for names"),
    _policy("vmcrawl-postgres", "spec egress 0 ports 0 port", 6432, "it does not reach Postgres"),
    _policy("vmcrawl-postgres", "spec egress 0 to 0 podSelector matchLabels", {"app": "db"}, "is not reached"),
    _policy("postgres-dev", "spec ingress 0 from 0 podSelector matchLabels", {"app": "x"}, "does not let it in"),
    _policy("vmcrawl-scrape", "spec ingress", [], "Prometheus does not reach it"),
]

_MONITORS = [
    _monitor("apiVersion", "monitoring.coreos.com/v2", "no such version"),
    _monitor("metadata labels release", GONE, "does not see it"),
    Mutant("PrometheusRule/vmcrawl", "metadata labels release", "prometheus", "does not see it"),
    Mutant("PrometheusRule/vmcrawl", "spec groups 0 intervals", "1m", "no field 'intervals'"),
    Mutant("PrometheusRule/vmcrawl", "spec groups 1 rules 0 for", "5 min", "for cannot be"),
    Mutant("PrometheusRule/vmcrawl", "spec groups 1 rules 0 labels severity", 1, "labels cannot be"),
    _monitor("spec sampleLimits", 5, "no field 'sampleLimits'"),
    _monitor("spec sampleLimit", "2000", "sampleLimit cannot be"),
    _monitor("spec sampleLimit", GONE, "is missing"),
    _monitor("spec bodySizeLimit", "2 MB", "bodySizeLimit cannot be"),
    _monitor("spec endpoints 0 interval", 60, "interval cannot be"),
    _monitor("spec endpoints 0 targetport", 60, "no field 'targetport'"),
    _monitor("spec endpoints 0 path", "/", "path cannot be"),
    _monitor("spec selector", {}, "selector cannot be"),
    _monitor("spec selector matchLabels app.kubernetes.io/component", "metrics", "it is for []"),
    _monitor("spec jobLabel", "app.kubernetes.io/component", "and this is 'exporter'"),
    _monitor("spec jobLabel", GONE, "and this is 'vmcrawl-exporter'"),
    _monitor("spec endpoints 0 port", "http", "has no port 'http'"),
    _monitor("spec endpoints 0 scheme", "http", "does not speak HTTPS"),
    _monitor("spec endpoints 0 tlsConfig ca", GONE, "somebody who vouches"),
    _monitor("spec endpoints 0 tlsConfig serverName", "exporter", "in another name"),
]

_SECRETS = [
    Mutant("ServiceAccount/vmcrawl", "kind", "Secret", "does not belong into a repository"),
    _single(f"{CRAWLER} env +", {"name": "VMCRAWL_DATABASE_URL", "value": URL}, "in plain sight"),
    Mutant("ConfigMap/vmcrawl-config", "data config.yaml", f"database:\n  url: {URL}\n", "in plain sight", "base"),
    Mutant("ConfigMap/vmcrawl-config", "data config.yaml", "sources:\n  token: abc\n", "sets a secret", "base"),
    Mutant("ConfigMap/vmcrawl-config", "data config.yaml", "database:\n  password: abc\n", "sets a secret", "base"),
    Mutant("ConfigMap/vmcrawl-config", "metadata annotations", {"note": "ghp_" + "a" * 36}, "in plain sight", "base"),
    _single(f"{CRAWLER} args +", "--dsn=host=db password=abc", "in plain sight"),
    _single(
        f"{CRAWLER} env +", {"name": "VMCRAWL_SOURCES_TOKEN", "value": "abc"}, "VMCRAWL_SOURCES_TOKEN has its value"
    ),
]

MUTANTS = [*_JOBS, *_WORKLOADS, *_SECURITY, *_PROGRAM, *_REFERENCES, *_NETWORK, *_MONITORS, *_SECRETS]
