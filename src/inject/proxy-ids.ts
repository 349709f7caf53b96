/** User and group of the proxy; OpenShift gives each namespace a range of ids and refuses others. */
import type { Labels } from "../api/object.ts";

export interface ProxyIds {
  readonly uid: number;
  readonly gid: number;
}

/** Traffic of this user is the proxy's own and is not captured again. */
export const usualProxyId = 1337;

const uidRange = "openshift.io/sa.scc.uid-range";
const groupRanges = "openshift.io/sa.scc.supplemental-groups";
const largestId = 2 ** 32 - 1;

/** The last id of the namespace's range of users and of its first range of groups, which is that of users where it has none. */
export function deriveProxyIds(annotations: Labels = {}): ProxyIds {
  const groups = annotations[groupRanges] ?? annotations[uidRange] ?? "";
  // One range that cannot be read makes all of them unusable, as Istio has it.
  const ends = groups.split(",").map(lastOfRange);
  return {
    uid: lastOfRange(annotations[uidRange] ?? "") ?? usualProxyId,
    gid: (ends.includes(undefined) ? undefined : ends[0]) ?? usualProxyId,
  };
}

/** A range is written "first/size" or "first-last". */
function lastOfRange(text: string): number | undefined {
  const [, first, mark, second] = /^(\d{1,10})([/-])(\d{1,10})$/.exec(text.trim()) ?? [];
  if (first === undefined) return undefined;
  const last = mark === "/" ? Number(first) + Number(second) - 1 : Number(second);
  return last >= 0 && last <= largestId ? last : undefined;
}
