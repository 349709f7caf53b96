const decimal = /^(0|[1-9][0-9]*)$/;

/**
 * Compares two resource versions as far as Kubernetes allows it (comparable by promise from 1.35 on, and by etcd's
 * revisions before): negative where `a` is older, undefined where one of them is no number.
 */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (!decimal.test(a) || !decimal.test(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** True only where it is certain that `a` is older than `b`. */
export function isOlder(a: string, b: string): boolean {
  return (compareResourceVersions(a, b) ?? 0) < 0;
}
