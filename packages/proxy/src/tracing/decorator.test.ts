import { expect, it } from "vitest";
import { createTestEnv, createTestExchange } from "../filters/test-exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { decorateRequest, decorateResponse } from "./decorator.ts";
import type { Span } from "./types.ts";

const header = "x-envoy-decorator-operation";

function createSpan(): Span & { readonly names: string[] } {
  const names: string[] = [];
  return {
    names,
    traceId: "1",
    spanId: "2",
    spawnsUpstream: false,
    setTag: () => undefined,
    setOperation: (name) => names.push(name),
    inject: () => undefined,
    spawn: createSpan,
    finish: () => undefined,
  };
}

interface Case {
  readonly isEgress: boolean;
  readonly propagates?: boolean;
  /** What the other side says in the header. */
  readonly asked?: string;
  readonly answered?: string;
}

it.each<[string, Case, { readonly names: string[]; readonly request?: string; readonly response?: string }]>([
  ["tells the server", { isEgress: true }, { names: ["op"], request: "op" }],
  ["tells it nothing where that is off", { isEgress: true, propagates: false }, { names: ["op"] }],
  ["takes the server's name", { isEgress: true, answered: "its" }, { names: ["op", "its"], request: "op" }],
  ["takes no empty name", { isEgress: true, answered: "" }, { names: ["op"], request: "op" }],
  ["tells the caller", { isEgress: false }, { names: ["op"], response: "op" }],
  ["tells the caller nothing where that is off", { isEgress: false, propagates: false }, { names: ["op"] }],
  ["takes the caller's name, who knows it then", { isEgress: false, asked: "its" }, { names: ["op", "its"] }],
  ["takes no empty name of the caller", { isEgress: false, asked: "" }, { names: ["op"], response: "op" }],
])("a route that names spans %s", (_what, { isEgress, propagates = true, asked, answered }, expected) => {
  const { exchange } = createTestExchange(asked === undefined ? {} : { headers: { [header]: asked } }, {
    env: createTestEnv(createStatsRegistry()),
    perRoute: [],
    route: { decorator: { operation: "op", propagates } },
    id: 1,
  });
  const span = createSpan();
  const told = decorateRequest(Object.assign(exchange, { span }), isEgress);
  const headers = new HeaderList(answered === undefined ? [] : [header, answered]);
  decorateResponse(headers, { told, span, isEgress });
  expect(span.names).toEqual(expected.names);
  expect(exchange.request.headers.get(header)).toBe(expected.request);
  expect(headers.get(header)).toBe(expected.response);
});
