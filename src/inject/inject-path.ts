/** Parts of the webhook's path that have a variable of another name. */
const variables: ReadonlyMap<string, string> = new Map([
  ["cluster", "ISTIO_META_CLUSTER_ID"],
  ["net", "ISTIO_META_NETWORK"],
]);

/** What a name of a variable may be; anything else is no variable of anybody. */
const variableName = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/**
 * Parses the path of the injection webhook, "/inject/cluster/<id>/net/<network>/<name>/<value>": environment of the proxy,
 * for a webhook that serves another cluster. "--slash--" stands for "/" in values; a name without a value is dropped. The
 * older form "/inject/:ENV:name=value:ENV:…" is read, too. `path` is decoded already.
 */
export function parseInjectPath(path: string): ReadonlyMap<string, string> {
  const rest = /^\/[^/]*\/(.+?)\/?$/.exec(path)?.[1] ?? "";
  const pairs = rest.startsWith(":ENV:") ? parseOldForm(rest) : parsePairs(rest.split("/"));
  return new Map(
    pairs
      .map(([name, value]): [string, string] => [variables.get(name) ?? name.toUpperCase(), value])
      .filter(([name]) => variableName.test(name)),
  );
}

function parsePairs(parts: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < parts.length; index += 2) {
    pairs.push([parts[index] ?? "", (parts[index + 1] ?? "").replaceAll("--slash--", "/")]);
  }
  return pairs;
}

function parseOldForm(rest: string): [string, string][] {
  return rest.split(":ENV:").flatMap((pair): [string, string][] => {
    const equals = pair.indexOf("=");
    return equals < 1 ? [] : [[pair.slice(0, equals), pair.slice(equals + 1)]];
  });
}
