"""More ways to break rendered manifests: seen only once they are in use, or by whoever answers for the cluster."""

from tests.deploy.mutant import CRAWLER, EXPORTER, GONE, JOB, POD, RULES, SHOWN, Mutant, crawl, exporter, policy, single

_BY_LABEL = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
_BY_NAMESPACE = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}

_NEVER = [
    crawl("spec suspend", True, "it would never run"),
    crawl("spec failedJobsHistoryLimit", 0, "nothing to look at"),
    crawl(f"{JOB} suspend", True, "suspended"),
    crawl(f"{JOB} ttlSecondsAfterFinished", 0, "before anybody has read it"),
    exporter("spec replicas", 0, "nothing of it would run"),
    exporter("spec paused", True, "nothing of it would run"),
    exporter("spec strategy type", "Recreate", "rollingUpdate goes with"),
    crawl(f"{POD} nodeName", "node1", "nodeName"),
    crawl(f"{POD} priorityClassName", "very-high", "priorityClassName"),
    crawl(f"{POD} dnsPolicy", "Default", "must be ClusterFirst"),
    crawl(f"{CRAWLER} stdin", True, "for somebody to type"),
    crawl(f"{CRAWLER} workingDir", "/app", "workingDir is"),
    crawl(f"{POD} volumes 0 configMap optional", True, "it would start all the same"),
    single("metadata name", "vmcrawl-" + "c" * 45, "longer than 52"),
    crawl("metadata name", "vmcrawl-" + "c" * 45, "host names would have 64"),
]

_AGAIN = [
    single(f"{JOB} backoffLimit", 0, "no second try"),
    crawl(f"{JOB} backoffLimitPerIndex", 0, "no second try"),
    crawl(f"{JOB} maxFailedIndexes", 0, "would end all others"),
    crawl(f"{RULES} 1 onExitCodes values", [75, 78], "means: try again"),
    single(f"{CRAWLER} args +", "--every=1h", "it never ends"),
    Mutant("CronJob/vmcrawl-refresh", f"{CRAWLER} args +", "--every=6h", "it never ends"),
    exporter(f"{SHOWN} terminationGracePeriodSeconds", 0, "no time to end"),
    crawl(f"{CRAWLER} volumeMounts 1 subPath", "url", "never be brought up to date"),
]

_OPEN = [
    crawl(f"{CRAWLER} envFrom", [{"secretRef": {"name": "vmcrawl-database"}}], "every key would be a variable"),
    crawl(f"{CRAWLER} env 2 valueFrom fieldRef fieldPath", "metadata.name", "all pods of a Job have in common"),
    crawl(
        f"{CRAWLER} env 2 valueFrom fieldRef fieldPath", "metadata.labels['job']", "all pods of a Job have in common"
    ),
    exporter(f"{SHOWN} shareProcessNamespace", True, "sees another's files"),
    crawl(f"{POD} securityContext appArmorProfile", {"type": "Unconfined"}, "appArmorProfile"),
    crawl(f"{CRAWLER} securityContext seLinuxOptions", {"type": "spc_t"}, "seLinuxOptions"),
    Mutant("Service/vmcrawl-exporter", "spec type", "LoadBalancer", "is open to whoever"),
    Mutant("Service/postgres-dev", "spec externalIPs", ["192.0.2.1"], "is open to whoever"),
    Mutant("ServiceAccount/vmcrawl", "kind", "RoleBinding", "such as rights at the API server"),
    policy(
        "vmcrawl-scrape",
        "spec ingress 0 from",
        [{"namespaceSelector": _BY_NAMESPACE}, {"podSelector": _BY_LABEL}],
        "for all pods of a namespace",
    ),
    policy("vmcrawl-dns", "spec egress 0 to 0 podSelector", GONE, "for all pods of a namespace"),
]

_VALUES = [
    crawl("metadata name", "vmcrawl-Crawl", "its name is none"),
    crawl("metadata labels note", "two words", "note=two words is no label"),
    exporter("spec selector matchLabels a/b/c", "d", "a/b/c=d is no label"),
    crawl(f"{POD} dnsPolicy", "ClusterLast", "dnsPolicy cannot be"),
    crawl(f"{CRAWLER} imagePullPolicy", "Sometimes", "imagePullPolicy cannot be"),
    crawl(f"{POD} topologySpreadConstraints 0 whenUnsatisfiable", "ScheduleAnyways", "whenUnsatisfiable cannot be"),
    policy("vmcrawl-dns", "spec egress 0 ports 0 protocol", "udp", "protocol cannot be"),
    policy("vmcrawl-dns", "spec policyTypes", ["Egresss"], "policyTypes cannot be"),
    Mutant(
        "StatefulSet/postgres-dev",
        "spec volumeClaimTemplates 0 spec accessModes",
        ["ReadWrite"],
        "accessModes cannot be",
    ),
    Mutant(
        "StatefulSet/postgres-dev",
        "spec volumeClaimTemplates 0 spec resources requests storage",
        "10GB",
        "storage: '10GB' is no quantity",
    ),
    crawl(f"{POD} volumes 2 emptyDir sizeLimit", "64MiB", "sizeLimit: '64MiB' is no quantity"),
    crawl(f"{POD} volumes +", {"name": "tmp", "emptyDir": {"sizeLimit": "1Mi"}}, "two volumes of one name"),
    exporter(f"{EXPORTER} resources limits memory", "lots", "memory: 'lots' is no quantity"),
]

MUTANTS = [*_NEVER, *_AGAIN, *_OPEN, *_VALUES]
