/** Checks of balancing by locality and by zone, which the mesh configuration shares (pkg/config/validation/agent). */
import type { Findings, Path } from "../findings.ts";
import type { LocalityLbSetting, ZoneAwareLbSetting } from "./schema.ts";

type Failover = NonNullable<LocalityLbSetting["failover"]>;

const topologyLabels: readonly string[] = [
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.istio.io/subzone",
];

/** Checks settings of balancing by locality: ways that exclude each other, shares of 100 in all, regions without zones. */
export function checkLocality(setting: LocalityLbSetting, path: Path, findings: Findings): void {
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && failover.length > 0) {
    findings.error(path, "distribute cannot stand together with failover", "one-of");
  }
  if (failover.length > 0) {
    const labels = failoverPriority.filter((label) => topologyLabels.includes(label));
    if (labels.length > 0) {
      findings.error(
        [...path, "failoverPriority"],
        `${labels.join(", ")} cannot stand together with failover, which orders by locality itself`,
        "one-of",
      );
    }
  }
  for (const [index, { to = {} }] of distribute.entries())
    checkShares(to, [...path, "distribute", index, "to"], findings);
  const callers = distribute.map(({ from = "" }) => from);
  checkOverlap(callers, (index) => [...path, "distribute", index, "from"], findings);
  checkFailover(failover, [...path, "failover"], findings);
}

/** Checks settings of zone-aware routing, which orders regions and zones itself. */
export function checkZoneAware(setting: ZoneAwareLbSetting, path: Path, findings: Findings): void {
  for (const [index, label] of (setting.failoverPriority ?? []).entries()) {
    if (topologyLabels.includes(label)) {
      findings.error(
        [...path, "failoverPriority", index],
        `${label} is not needed: zone-aware routing orders by locality itself`,
        "locality",
      );
    }
  }
  checkFailover(setting.failover ?? [], [...path, "failover"], findings);
}

function checkShares(to: { readonly [locality: string]: number }, path: Path, findings: Findings): void {
  const shares = Object.entries(to);
  for (const [locality, share] of shares) {
    if (share < 1 || share > 100) findings.error([...path, locality], "must be from 1 to 100", "out-of-range");
  }
  const sum = shares.reduce((total, [, share]) => total + share, 0);
  if (sum !== 100) findings.error(path, `the shares add up to ${sum} and not to 100`, "weight");
  const localities = Object.keys(to);
  checkOverlap(localities, (index) => [...path, localities[index] ?? ""], findings);
}

/** Checks that no locality of a list holds another, and that a wildcard stands at its end. */
function checkOverlap(localities: readonly string[], pathOf: (index: number) => Path, findings: Findings): void {
  const seen: (readonly string[])[] = [];
  for (const [index, locality] of localities.entries()) {
    const parts = splitLocality(locality);
    const wildcards = locality.split("*").length - 1;
    if (locality === "") findings.error(pathOf(index), "is required", "required");
    else if (parts.includes("")) findings.error(pathOf(index), "must not have an empty part", "locality");
    else if (wildcards > 1 || (wildcards === 1 && !locality.endsWith("*"))) {
      findings.error(pathOf(index), `"${locality}": a "*" can stand at the end only`, "locality");
    } else if (seen.some((other) => overlaps(other, parts))) {
      findings.error(pathOf(index), `"${locality}" is part of a locality that is given before`, "duplicate");
    }
    seen.push(parts);
  }
}

/** Region, zone and subzone; a subzone may hold slashes. */
function splitLocality(locality: string): readonly string[] {
  const [region = "", zone, ...subzone] = locality.split("/");
  if (zone === undefined) return [region];
  return subzone.length === 0 ? [region, zone] : [region, zone, subzone.join("/")];
}

/**
 * True where the later locality lies in the earlier one. A region or zone without the next part stands for all of it, as
 * does "*"; a later locality that is wider than an earlier one overlaps where both name the same region.
 */
function overlaps(earlier: readonly string[], later: readonly string[]): boolean {
  if (earlier[0] === "*") return true;
  if (earlier[0] !== later[0]) return false;
  if (later.length === 1 || earlier.length === 1 || earlier[1] === "*") return true;
  if (earlier[1] !== later[1]) return false;
  if (later.length === 2 || earlier.length === 2 || earlier[2] === "*") return true;
  return earlier[2] === later[2];
}

function checkFailover(failover: Failover, path: Path, findings: Findings): void {
  for (const [index, { from = "", to = "" }] of failover.entries()) {
    const at = [...path, index];
    if (from === to) findings.error(at, "from and to must be different regions", "locality");
    for (const [side, region] of [
      ["from", from],
      ["to", to],
    ] as const) {
      if (/[/*]/.test(region)) findings.error([...at, side], "must be a region only", "locality");
    }
  }
}
