/** `make bench`: what a certificate of a workload costs, from the text of the request to that of the answer. */
import { generateKeyPairSync } from "node:crypto";
import { createRootAuthority } from "../../src/ca/authority.ts";
import { createAuthoritySigner } from "../../src/ca/authority-signer.ts";
import { parseSigningRequest } from "../../src/ca/signing-request.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createRequest, type KeyPair, requested } from "../support/signing-requests.ts";

interface Scenario {
  readonly name: string;
  readonly keys: KeyPair;
  /** Bits of the authority's RSA key; undefined for P-256. */
  readonly rsaBits?: number;
  readonly rounds: number;
}

const identity = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const uniformResourceIdentifier = "spiffe://cluster.local/ns/shop/sa/cart";
/** As many at once as a busy server has. */
const atOnce = 16;
const dayMs = 86_400_000;

const scenarios: readonly Scenario[] = [
  { name: "EC P-256", keys: generateKeyPairSync("ec", { namedCurve: "P-256" }), rounds: 3000 },
  { name: "RSA 2048", keys: generateKeyPairSync("rsa", { modulusLength: 2048 }), rsaBits: 2048, rounds: 1000 },
];

for (const scenario of scenarios) {
  const { cpuSeconds, wallSeconds } = await measure(scenario);
  const [perCpu, perWall] = [cpuSeconds, wallSeconds].map((seconds) => Math.round(scenario.rounds / seconds));
  console.log(
    `certificates per CPU second, requests and authority ${scenario.name}: ${perCpu} (${perWall} per second)`,
  );
}

async function measure({ keys, rsaBits, rounds }: Scenario) {
  const authority = await createRootAuthority({
    ...{ organization: "cluster.local", lifetimeMs: 3650 * dayMs, nowMs: systemClock.now() },
    ...(rsaBits === undefined ? {} : { rsaBits }),
  });
  const signer = createAuthoritySigner({ authority: { load: async () => authority }, clock: systemClock });
  const csr = createRequest({ keys, organization: "", extensions: [requested.names({ uniformResourceIdentifier })] });
  const issue = async (): Promise<void> => {
    const request = await parseSigningRequest(csr);
    await signer.sign({ request, identity, lifetimeMs: dayMs, certSigner: "" });
  };
  await run(issue, rounds / 10);
  const [cpu, startedAt] = [process.cpuUsage(), systemClock.monotonic()];
  await run(issue, rounds);
  const { user, system } = process.cpuUsage(cpu);
  return { cpuSeconds: (user + system) / 1e6, wallSeconds: (systemClock.monotonic() - startedAt) / 1000 };
}

async function run(issue: () => Promise<void>, rounds: number): Promise<void> {
  let left = rounds;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await issue();
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
