/** The chart as Helm renders it, and ways to look into what comes out. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { clusterPrograms } from "../../tools/cluster/programs.ts";

export const chartFolder = fileURLToPath(new URL("../../manifests/chart/", import.meta.url));

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** Values of the chart, or a part of them. */
export type Values = Readonly<Record<string, unknown>>;

export const readChartFile = (name: string): string => readFileSync(join(chartFolder, name), "utf8");

export const defaultValues = parse(readChartFile("values.yaml")) as Values;

/** Runs Helm with no cluster, and nothing of the user's settings. Rejects with what it printed as error. */
export async function runHelm(args: readonly string[], input = ""): Promise<string> {
  const { helm } = await clusterPrograms();
  const env = { PATH: process.env["PATH"], HOME: tmpdir(), KUBECONFIG: "/dev/null" };
  return new Promise((resolve, reject) => {
    const child = execFile(helm, [...args], { env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim()));
    });
    child.stdin?.end(input);
  });
}

/** Objects of the release `meltemi` in istio-system, with these values over the defaults. */
export async function renderChart(values: Values = {}): Promise<readonly Manifest[]> {
  const args = ["template", "meltemi", chartFolder, "--namespace", "istio-system", "--values", "-"];
  return parseManifests(await runHelm(args, JSON.stringify(values)));
}

export function parseManifests(text: string): readonly Manifest[] {
  const documents = parseAllDocuments(text);
  for (const document of documents) {
    if (document.errors.length > 0) throw new Error(`not YAML: ${document.errors[0]?.message}\n${document}`);
  }
  return documents.map((document) => document.toJS() as Manifest | null).filter((object) => object !== null);
}

/** The one object of a kind; the name where there are several. */
export function findManifest(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  const [first, ...others] = found;
  if (first === undefined || others.length > 0) throw new Error(`${found.length} objects ${kind} ${name ?? ""}`);
  return first;
}

/** What stands at a path such as "spec.ports.0.name"; undefined where nothing does. */
export function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

/** A rule of a Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export interface PlacedRule extends PolicyRule {
  /** "ClusterRole/name" or "Role/namespace/name", for messages. */
  readonly place: string;
}

export function listRules(manifests: readonly Manifest[]): readonly PlacedRule[] {
  return manifests
    .filter((object) => object.kind === "Role" || object.kind === "ClusterRole")
    .flatMap((object) => {
      const { name, namespace } = object.metadata;
      const place = [object.kind, ...(namespace === undefined ? [] : [namespace]), name].join("/");
      return (valueAt(object, "rules") as readonly PolicyRule[]).map((rule) => ({ place, ...rule }));
    });
}

/** A copy of the chart without the generated CRDs, which Helm never deletes again; in a new temporary folder. */
export function copyChartWithoutCrds(): string {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-chart-"));
  const isCrds = (path: string): boolean => basename(path) === "crds";
  cpSync(chartFolder, folder, { recursive: true, filter: (path) => !isCrds(path) });
  return folder;
}
