/** The form of behaviours (README.md), and how they are read: a misspelt word is an error, not a silent pass. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** Text that must be equal; null: must be absent; true: must be there; or a regular expression that must be found. */
export type Matcher = string | number | null | true | { readonly matches: string };

export type Matchers = Readonly<Record<string, Matcher>>;

export interface Expectation {
  readonly status?: number;
  /** Every one of these statuses came at least once, and no other. */
  readonly statuses?: readonly number[];
  /** Who answered: one name, "same" for always one and the same, null for nobody, or several of which each did. */
  readonly upstream?: string | null | readonly string[];
  /** Percentages of upstreams. */
  readonly shares?: Readonly<Record<string, number>>;
  /** By how many points a share may be off; 15 where not given. */
  readonly tolerance?: number;
  /** What the upstream saw. */
  readonly seen?: SeenExpectation;
  /** Requests that came to upstreams for each one that was sent, answered or not, by upstream; within some time. */
  readonly received?: Readonly<Record<string, number>>;
  /** What the upstreams of copies saw. */
  readonly copies?: Readonly<Record<string, SeenExpectation>>;
  /** Connections to the upstream that all requests together took. */
  readonly connections?: number;
  readonly headers?: Matchers;
  readonly trailers?: Matchers;
  readonly body?: Matcher;
  readonly atLeastMs?: number;
  readonly grpc?: { readonly status: number; readonly message?: Matcher };
  readonly tls?: { readonly names?: Matcher; readonly protocol?: string; readonly cipher?: string };
  /** The connection fails, and this is how. */
  readonly error?: Matcher;
}

export interface SeenExpectation {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly http?: string;
  readonly body?: Matcher;
  readonly headers?: Matchers;
  readonly tls?: { readonly sni?: Matcher; readonly client?: Matcher };
}

export interface TlsQuestion {
  readonly sni?: string;
  /** The protocol that is offered; that of the HTTP version where not given. */
  readonly alpn?: string;
  /** Name of the certificate that the client shows. */
  readonly certificate?: string;
  readonly minVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";
  readonly ciphers?: string;
}

export interface BehaviourRequest {
  readonly from: EnvoyName;
  /** Name of a port of the rig; where not given, the usual one of the Envoy. */
  readonly port?: string;
  readonly kind: "http" | "grpc" | "tcp" | "websocket";
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Version of HTTP that the client speaks. */
  readonly http: "1.0" | "1.1" | "2";
  readonly tls?: TlsQuestion;
  /** What is sent: over TCP the bytes, over WebSocket the text. */
  readonly send: string;
  /** The address that the client calls from. */
  readonly source?: string;
  readonly count: number;
  /** True: all at once; otherwise one after the other. */
  readonly together: boolean;
  /** True where the feature takes time: asked again until the answer is as expected, or 20 seconds are over. */
  readonly eventually: boolean;
  readonly expect: Expectation;
}

export const envoyNames = ["client", "gateway", "server"] as const;
export type EnvoyName = (typeof envoyNames)[number];

export interface Behaviour {
  readonly name: string;
  /** YAML documents as text. */
  readonly config: string;
  /** Files with more documents, from the top of the project, and texts to replace in them. */
  readonly files: readonly string[];
  readonly replace: Readonly<Record<string, string>>;
  /** True where the objects are meant to give warnings. */
  readonly warns: boolean;
  readonly requests: readonly BehaviourRequest[];
}

const behaviourWords = ["name", "config", "files", "replace", "warns", "requests"];
const requestWords = [
  ...["from", "port", "kind", "method", "host", "path", "headers", "body", "http", "tls", "send", "source"],
  ...["count", "together", "eventually", "expect"],
];
const expectWords = [
  ...["status", "statuses", "upstream", "shares", "tolerance", "seen", "received", "copies", "connections", "headers"],
  ...["trailers", "body", "atLeastMs", "grpc", "tls", "error"],
];
const seenWords = ["method", "path", "host", "http", "body", "headers", "tls"];

type Raw = Readonly<Record<string, unknown>>;

/** Reads a topic, which is the file of that name beside this one. Throws on anything that is not of the form. */
export function readBehaviours(topic: string): readonly Behaviour[] {
  const list: unknown = parse(readFileSync(join(import.meta.dirname, `${topic}.yaml`), "utf8"));
  if (!Array.isArray(list)) throw new Error(`${topic}.yaml is no list of behaviours`);
  const behaviours = list.map((raw: Raw) => readBehaviour(raw, topic));
  const names = behaviours.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`${topic}.yaml has two behaviours "${twice}"`);
  return behaviours;
}

function readBehaviour(raw: Raw, topic: string): Behaviour {
  const where = `${topic}.yaml, "${String(raw["name"])}"`;
  checkWords(raw, behaviourWords, where);
  const requests = raw["requests"];
  if (typeof raw["name"] !== "string" || !Array.isArray(requests) || requests.length === 0) {
    throw new Error(`${where}: a behaviour has a name and at least one request`);
  }
  return {
    ...{ config: "", files: [], replace: {}, warns: false },
    ...(raw as Pick<Behaviour, "name">),
    requests: requests.map((request: Raw) => readRequest(request, where)),
  };
}

function readRequest(raw: Raw, where: string): BehaviourRequest {
  checkWords(raw, requestWords, where);
  const { expect } = raw as { readonly expect?: Raw };
  if (expect === undefined || Object.keys(expect).length === 0)
    throw new Error(`${where}: a request expects something`);
  checkWords(expect, expectWords, where);
  checkWords((expect["seen"] ?? {}) as Raw, seenWords, where);
  for (const copy of Object.values((expect["copies"] ?? {}) as Record<string, Raw>)) {
    checkWords(copy, seenWords, where);
  }
  const request: BehaviourRequest = {
    ...{ from: "client", kind: "http", method: "GET", host: "echo.test", path: "/", headers: {}, send: "" },
    ...{ count: 1, together: false, eventually: false, expect },
    ...raw,
    http: String(raw["http"] ?? "1.1") as BehaviourRequest["http"],
  };
  if (!envoyNames.includes(request.from)) throw new Error(`${where}: there is no Envoy "${request.from}"`);
  return request;
}

function checkWords(raw: Raw, words: readonly string[], where: string): void {
  const unknown = Object.keys(raw).find((word) => !words.includes(word));
  if (unknown !== undefined) throw new Error(`${where}: unknown word "${unknown}"; known are ${words.join(", ")}`);
}
