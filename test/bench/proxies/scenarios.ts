import type { ListenerName } from "./bench-bootstrap.ts";
import { large, small } from "./bodies.ts";
import type { ContestantName } from "./contestants.ts";
import { streamsPerLane } from "./http2-lane.ts";
import type { Work } from "./lane.ts";

export const scenarioNames = ["http1", "http2", "stream", "upload", "tcp", "tls", "handshake"] as const;
export type ScenarioName = (typeof scenarioNames)[number];

export interface Scenario {
  readonly name: ScenarioName;
  readonly title: string;
  readonly listener: ListenerName;
  readonly work: Work;
  /** Connections. */
  readonly lanes: number;
  /** What is counted, and how much of it an exchange is. */
  readonly unit: string;
  readonly perExchange: number;
  /** The least that the companion's figure has to be as a multiple of another's. */
  readonly required: Readonly<Partial<Record<ContestantName, number>>>;
}

/** A small request of HTTP/1.1. */
export const get: Work = { protocol: "http1", path: "/small", sentBytes: 0, answerBytes: small };

const megabyte = large / 1e6;

/** `roots` are those of the certificate that the proxies have. */
export function listScenarios(roots: string): readonly Scenario[] {
  return [
    {
      ...{ name: "http1", title: "HTTP/1.1, 1 kB, 50 connections", listener: "http", work: get, lanes: 50 },
      ...{ unit: "requests", perExchange: 1, required: { Envoy: 0.6, "http-proxy": 1.3 } },
    },
    {
      ...{
        name: "http2",
        title: `HTTP/2 on both sides, 1 kB, 5 x ${streamsPerLane} streams`,
        listener: "http2",
        lanes: 5,
      },
      work: { ...get, protocol: "http2", path: "/http2" },
      ...{ unit: "requests", perExchange: 1, required: { Envoy: 0.4 } },
    },
    {
      ...{ name: "stream", title: "HTTP/1.1, answers of 1 MB, 8 connections", listener: "http", lanes: 8 },
      work: { ...get, path: "/large", answerBytes: large },
      ...{ unit: "MB", perExchange: megabyte, required: { Envoy: 0.6 } },
    },
    {
      ...{ name: "upload", title: "HTTP/1.1, requests of 1 MB, 8 connections", listener: "http", lanes: 8 },
      work: { ...get, path: "/upload", sentBytes: large, answerBytes: 2 },
      ...{ unit: "MB", perExchange: megabyte, required: { Envoy: 0.6 } },
    },
    {
      ...{ name: "tcp", title: "TCP, 1 MB there and 1 MB back, 8 connections", listener: "tcp", lanes: 8 },
      work: { protocol: "tcp", path: "", sentBytes: large, answerBytes: large },
      ...{ unit: "MB", perExchange: 2 * megabyte, required: { Envoy: 0.6 } },
    },
    {
      ...{ name: "tls", title: "HTTPS, HTTP/1.1, 1 kB, 50 kept connections", listener: "tls", lanes: 50 },
      work: { ...get, roots },
      ...{ unit: "requests", perExchange: 1, required: {} },
    },
    {
      ...{ name: "handshake", title: "HTTPS, a new connection for each 1 kB, 10 at once", listener: "tls", lanes: 10 },
      work: { ...get, roots, isFresh: true },
      ...{ unit: "connections", perExchange: 1, required: {} },
    },
  ];
}
