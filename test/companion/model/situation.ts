/** What a request meets, and the simplest thing that may come of it. */
import type { LocalAnswer } from "./expectation.ts";
import type { ModelRequest } from "./request.ts";
import type { HostSpec, HttpChain, RouteSpec, TableSpec, World } from "./world.ts";

/** Everything that a request may meet under one configuration. */
export interface Situation {
  readonly world: World;
  /** The chain that its connection belongs to, which may be of an earlier configuration. */
  readonly chain: HttpChain;
  /** The route table of the chain as it is now. */
  readonly table: TableSpec;
  readonly request: ModelRequest;
}

export interface RouteFound {
  readonly host: HostSpec;
  readonly route: RouteSpec;
}

/** An answer of the proxy's own, with nothing sent to an upstream. */
export function reply(chain: HttpChain, status: number, body = ""): LocalAnswer {
  return {
    kind: "local",
    serverName: chain.serverName,
    body: { kind: "whole", text: body },
    location: undefined,
    headers: undefined,
    leastMs: 0,
    attempts: { least: 0, most: 0 },
    tried: new Set(),
    shadows: { least: 0, most: 0 },
    status,
  };
}
