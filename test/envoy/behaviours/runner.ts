/** Runs the behaviours of a topic: one test each, against Envoys that all of them share. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataPlane, dataPlanes } from "../envoy-process.ts";
import { ask, buildTlsOptions, type Call, type Observation } from "./ask.ts";
import {
  type Behaviour,
  type BehaviourRequest,
  type EnvoyName,
  type Expectation,
  readBehaviours,
} from "./behaviour.ts";
import { readDifferences } from "./companion-differences.ts";
import { describeConfiguration } from "./envoy-view.ts";
import { checkExpectation, type Outcome } from "./expectations.ts";
import { type Rig, startRig } from "./rig.ts";

/** Where requests go that name no port. */
const usualPorts: Readonly<Record<EnvoyName, string>> = { client: "proxy", gateway: "http", server: "inbound" };

/** How long what was received may still come in, and how long a feature may take that needs time. */
const patienceMs = 20_000;

/**
 * Declares the tests of `<topic>.yaml`, for Envoy and for the companion proxy with the same expectations. The proxies that
 * it asks are started, and `also` others.
 */
export function describeBehaviours(topic: string, also: readonly EnvoyName[] = []): void {
  for (const dataPlane of dataPlanes) describe(dataPlane, () => describeTopic(topic, dataPlane, also));
}

function describeTopic(topic: string, dataPlane: DataPlane, also: readonly EnvoyName[]): void {
  const behaviours = readBehaviours(topic);
  const asked = behaviours.flatMap(({ requests }) => requests.map(({ from }) => from));
  const different = dataPlane === "companion" ? readDifferences(topic) : new Map<string, string>();
  describe(topic, () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await startRig([...new Set([...asked, ...also])], dataPlane);
    });
    afterAll(async () => rig?.stop());
    for (const behaviour of behaviours) {
      // What is known to differ must differ: a reason that no longer holds has to go.
      const declare = different.has(behaviour.name) ? it.fails : it;
      declare(behaviour.name, async () => {
        const remove = await rig.apply(behaviour);
        try {
          for (const request of behaviour.requests) await checkRequest(rig, behaviour, request);
        } finally {
          await remove();
        }
      });
    }
  });
}

let nextTag = 1;

async function checkRequest(rig: Rig, behaviour: Behaviour, request: BehaviourRequest): Promise<void> {
  const end = Date.now() + patienceMs;
  let [outcome, complaints] = await attempt(rig, request);
  while (complaints.length > 0 && request.eventually && Date.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    [outcome, complaints] = await attempt(rig, request);
  }
  if (complaints.length === 0) return;
  expect.fail(await describeFailure(rig, { behaviour, request, outcome, complaints }));
}

async function attempt(rig: Rig, request: BehaviourRequest): Promise<[Outcome, readonly string[]]> {
  const tag = `request-${nextTag++}`;
  const calls = Array.from({ length: request.count }, (_, index) => fillRequest(rig, request, { tag, index }));
  const observations: Observation[] = [];
  const width = request.together ? calls.length : widthOf(request);
  for (let index = 0; index < calls.length; index += width) {
    observations.push(...(await Promise.all(calls.slice(index, index + width).map(ask))));
  }
  const look = (): Outcome => ({
    observations,
    received: rig.upstreams.received.filter(({ headers }) => headers["x-request-tag"] === tag),
  });
  const expected = fillExpectation(rig, request);
  let complaints = checkExpectation(expected, look());
  // Copies come when they come; what is wrong with an answer stays wrong.
  const waits = request.expect.copies !== undefined || request.expect.received !== undefined;
  for (let waited = 0; complaints.length > 0 && waits && waited < 1000; waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    complaints = checkExpectation(expected, look());
  }
  return [look(), complaints];
}

/** Shares take many requests, and do not depend on their order: some of them are asked at a time. */
const widthOf = ({ expect: { shares } }: BehaviourRequest): number => (shares === undefined ? 1 : 16);

function fillExpectation(rig: Rig, { expect: expected }: BehaviourRequest): Expectation {
  return JSON.parse(rig.fill(JSON.stringify(expected))) as Expectation;
}

/** Fills in ports, certificates, variables and `{n}`, the number of the request from 0. */
function fillRequest(
  rig: Rig,
  request: BehaviourRequest,
  { tag, index }: { readonly tag: string; readonly index: number },
): Call {
  const fill = (text: string): string => rig.fill(text).replaceAll("{n}", String(index));
  const certificate = request.tls?.certificate;
  const issued = certificate === undefined ? undefined : rig.certificates.issued.get(certificate);
  if (certificate !== undefined && issued === undefined) throw new Error(`there is no certificate "${certificate}"`);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, fill(String(value))] as const);
  return {
    ...request,
    port: rig.port(request.port ?? usualPorts[request.from]),
    isProxied: request.from === "client" && request.port === undefined,
    ...{ host: fill(request.host), path: fill(request.path), send: fill(request.send) },
    headers: { ...Object.fromEntries(headers), "x-request-tag": tag },
    tls: buildTlsOptions(request, { certificate: issued, fill }),
  };
}

interface Failure {
  readonly behaviour: Behaviour;
  readonly request: BehaviourRequest;
  readonly outcome: Outcome;
  readonly complaints: readonly string[];
}

async function describeFailure(rig: Rig, { request, outcome, complaints }: Failure): Promise<string> {
  const { expect: expected, ...asked } = request;
  const envoy = rig.envoys.get(request.from);
  const observed = outcome.observations.slice(0, 3);
  return [
    complaints.slice(0, 10).join("\n"),
    `asked: ${JSON.stringify(asked)}`,
    `expected: ${JSON.stringify(expected)}`,
    ...observed.map((observation) => `observed: ${JSON.stringify(observation)}`),
    envoy === undefined ? "" : await describeConfiguration(envoy, rig.fill(request.host)),
  ].join("\n\n");
}
