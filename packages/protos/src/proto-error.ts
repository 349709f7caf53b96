/**
 * A message, JSON document or byte sequence that does not fit its type. `path` leads from the type to the place:
 * `envoy.config.cluster.v3.Cluster.load_assignment.endpoints[0]`.
 */
export class ProtoError extends Error {
  readonly path: string;
  readonly reason: string;

  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`);
    this.name = "ProtoError";
    this.path = path;
    this.reason = reason;
  }
}

/** Re-raises `cause` with `outer` put before the path it names, so that paths cost nothing until something fails. */
export function withOuterPath(outer: string, cause: unknown): unknown {
  if (!(cause instanceof ProtoError)) return cause;
  const separator = cause.path === "" || cause.path.startsWith("[") ? "" : ".";
  return new ProtoError(`${outer}${separator}${cause.path}`, cause.reason);
}

/** " (did you mean …?)" for the nearest of the known names, or nothing when none is near. */
export function suggestName(name: string, known: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? "" : ` (did you mean ${best}?)`;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
