/**
 * A configuration that cannot be used. `path` is the field in the resource, as in
 * "filter_chains[0].filters[1].typed_config.route_config", so that a NACK names it.
 */
export class ConfigError extends Error {
  readonly path: string;
  /** What is wrong, without the path. */
  readonly reason: string;

  constructor(path: string, reason: string) {
    super(path === "" ? reason : `${path}: ${reason}`);
    this.name = "ConfigError";
    this.path = path;
    this.reason = reason;
  }
}

/** Runs `compile`; what it throws is about the field `path` below. */
export function within<Value>(path: string, compile: () => Value): Value {
  try {
    return compile();
  } catch (cause: unknown) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new ConfigError(joinPath(path, cause.path), cause.reason);
  }
}

/** Compiles each member of a list; an error names its place, as in "routes[3]". */
export function compileAll<From, To>(
  path: string,
  list: readonly From[] | undefined,
  compile: (from: From, index: number) => To,
): readonly To[] {
  return (list ?? []).map((from, index) => within(`${path}[${index}]`, () => compile(from, index)));
}

/** The member, or a ConfigError that says that it is missing. */
export function need<Value>(path: string, value: Value | undefined): Value {
  if (value === undefined) throw new ConfigError(path, "is required");
  return value;
}

function joinPath(above: string, below: string): string {
  if (above === "" || below === "") return above + below;
  return below.startsWith("[") ? above + below : `${above}.${below}`;
}
