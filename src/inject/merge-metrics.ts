/**
 * Prometheus asks the agent (port 15020) for the metrics of proxy and application together: annotations that lead to the
 * application become those of the agent, which is told the original ones in ISTIO_PROMETHEUS_ANNOTATIONS.
 */
import type { Findings } from "../api/findings.ts";
import type { Labels } from "../api/object.ts";
import { annotation, container } from "./annotation-names.ts";
import { parseFlag } from "./annotation-rules.ts";
import { changeContainer, findProxy, type PodDraft, setVariable } from "./pod-draft.ts";
import { findNamed, listField, textField } from "./pod-fields.ts";

const scrapeVariable = "ISTIO_PROMETHEUS_ANNOTATIONS";

/** Prometheus sees annotations as names of labels, so that "prometheus.io/port" and "prometheus-io/port" are the same. */
const labelName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_]/g, "_");

const known = {
  scrape: "prometheus_io_scrape",
  port: "prometheus_io_port",
  path: "prometheus_io_path",
  targets: "prometheus_istio_io_scrape_targets",
};
const cleared: ReadonlySet<string> = new Set(Object.values(known));

/** Ports of the proxy and its agent, which have no metrics of the application. */
const reservedPorts: ReadonlyMap<number, string> = new Map([
  [15000, "Envoy's admin interface"],
  [15001, "captured outbound traffic"],
  [15004, "debugging of the control plane"],
  [15006, "captured inbound traffic"],
  [15008, "the HBONE tunnel"],
  [15020, "the agent's own merged metrics"],
  [15021, "the proxy's readiness"],
  [15053, "the DNS proxy"],
  [15090, "Envoy's metrics, which are merged already"],
]);

interface ScrapeTarget {
  readonly port: string;
  readonly path: string;
}

/** Where the application's metrics are, in the agent's words. */
interface ScrapeSettings extends ScrapeTarget {
  readonly scrape: string;
  readonly targets?: readonly ScrapeTarget[];
}

export interface MetricsPlan {
  /** The mesh's enablePrometheusMerge. */
  readonly isMerged: boolean;
  readonly agentPort: number;
}

export function mergeMetrics(draft: PodDraft, { isMerged, agentPort }: MetricsPlan, findings: Findings): PodDraft {
  const { annotations } = draft;
  const said = annotations[annotation.mergeMetrics];
  if (!((said === undefined ? undefined : parseFlag(said)) ?? isMerged)) return draft;
  if (parseFlag(findByLabel(annotations, known.scrape)?.[1] ?? "") === false) return draft;
  const port = findByLabel(annotations, known.port)?.[1];
  // Ours already, or the writer's wish.
  if (port === String(agentPort)) return draft;
  const settings = readSettings(annotations, findings);
  checkPorts(settings, agentPort, findings);
  const isEmpty = settings.scrape === "" && settings.path === "" && settings.port === "";
  const merged = isEmpty
    ? draft
    : changeContainer(draft, container.proxy, (proxy) =>
        setVariable(proxy, { name: scrapeVariable, value: JSON.stringify(settings) }),
      );
  const others = Object.entries(annotations).filter(([name]) => !cleared.has(labelName(name)));
  return {
    ...merged,
    annotations: {
      ...Object.fromEntries(others),
      "prometheus.io/port": String(agentPort),
      "prometheus.io/path": "/stats/prometheus",
      "prometheus.io/scrape": "true",
    },
  };
}

const findByLabel = (annotations: Labels, name: string) =>
  Object.entries(annotations).find(([candidate]) => labelName(candidate) === name);

function readSettings(annotations: Labels, findings: Findings): ScrapeSettings {
  const text = (name: string) => findByLabel(annotations, name)?.[1] ?? "";
  const settings = { scrape: text(known.scrape), path: text(known.path), port: text(known.port) };
  const [name, list = ""] = findByLabel(annotations, known.targets) ?? [];
  const targets = parseTargets(list);
  const [first] = targets ?? [];
  if (targets === undefined && name !== undefined) {
    findings.warning(
      ["metadata", "annotations", name],
      "must be a list such as 9090:/metrics,9091; it is ignored",
      "annotation",
    );
  }
  // Agents that know no list of targets take the first one.
  return targets === undefined || first === undefined ? settings : { ...settings, ...first, targets };
}

/** "port:path" with commas between them; undefined where a port is missing. */
function parseTargets(list: string): readonly ScrapeTarget[] | undefined {
  const targets = list
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map((entry) => {
      const [, port = "", path = ""] = /^([^:]*):?(.*)$/su.exec(entry) ?? [];
      return { port: port.trim(), path: path.trim() === "" ? "/metrics" : path.trim() };
    });
  return targets.some(({ port }) => port === "") ? undefined : targets;
}

function checkPorts({ port, targets }: ScrapeSettings, agentPort: number, findings: Findings): void {
  const path = [
    "metadata",
    "annotations",
    targets === undefined ? "prometheus.io/port" : "prometheus.istio.io/scrape-targets",
  ];
  const ports = targets?.map((target) => target.port) ?? (port === "" ? [] : [port]);
  for (const text of ports) {
    const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    const reserved = number === agentPort ? "the agent" : reservedPorts.get(number);
    if (number < 1 || number > 65_535)
      findings.error(path, `${JSON.stringify(text.slice(0, 20))} is not a port`, "annotation");
    else if (reserved !== undefined)
      findings.error(path, `port ${number} (${reserved}) has no metrics of the application`, "annotation");
  }
}

/** Tells Prometheus of the port for merged metrics over TLS, where the proxy is told to have one. */
export function announceSecurePort(draft: PodDraft): PodDraft {
  const proxy = findProxy(draft);
  const found = proxy && findNamed(listField(proxy, "env"), "ENVOY_SECURE_MERGED_METRICS_PORT");
  const port = found === undefined ? "" : textField(found, "value");
  if (port === "" || port === "0") return draft;
  if (findByLabel(draft.annotations, labelName(annotation.securePort)) !== undefined) return draft;
  return { ...draft, annotations: { ...draft.annotations, [annotation.securePort]: port } };
}
