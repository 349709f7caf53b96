/** Checks 27 and 30 of the certificate authority, and what the service says, logs and counts. */

import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import type { CertificateSigner } from "../../src/ca/certificate-signer.ts";
import { certificateOf, chainOf, createCertificateRig, refusalIn } from "../support/certificate-rig.ts";
import { createRequest } from "../support/signing-requests.ts";

const csr = createRequest();
const tooMany = "RESOURCE_EXHAUSTED too many certificates are asked for";

test("CA-27 a caller gets 20 certificates at once and 5 each second", async () => {
  const { call, clock } = await createCertificateRig();
  const ask = async (count: number, account = "shop/cart", peer = "10.0.0.1:1"): Promise<readonly string[]> => {
    const answers: string[] = [];
    for (let round = 0; round < count; round++)
      answers.push(refusalIn(await call({ csr }, certificateOf(account), { peer })));
    return answers;
  };
  const issued = (count: number): readonly string[] => Array<string>(count).fill("issued");
  expect(await ask(22)).toEqual([...issued(20), tooMany, tooMany]);
  // Others are not held back: of another identity, or the same one elsewhere.
  expect(await ask(1, "shop/other")).toEqual(issued(1));
  expect(await ask(1, "shop/cart", "10.0.0.2:1")).toEqual(issued(1));
  expect(await ask(1, "shop/cart", "10.0.0.1:2")).toEqual([tooMany]);
  clock.advance(1000);
  expect(await ask(6)).toEqual([...issued(5), tooMany]);
});

test("CA-27 only so many requests wait for their signature", async () => {
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const signer: CertificateSigner = {
    name: "held",
    async sign() {
      await held;
      return { chain: ["leaf"], roots: "roots", serialNumber: "01", notAfterMs: 0 };
    },
  };
  const { call, lines } = await createCertificateRig({ signer });
  const calls = Array.from({ length: 2000 }, (_, index) => call({ csr }, certificateOf(`shop/a${index}`)));
  // Those that are refused do not wait.
  expect(refusalIn(await Promise.race(calls))).toBe(tooMany);
  goOn();
  const answers = (await Promise.all(calls)).map(refusalIn);
  expect(new Set(answers)).toEqual(new Set(["issued", tooMany]));
  expect(answers.filter((answer) => answer === "issued").length).toBeGreaterThan(1000);
  expect(lines.join("\n")).toContain("too many certificates wait");
  // Where nobody is refused, nobody answers.
}, 60_000);

test("CA-27 signing is not done on the event loop", async () => {
  const { call } = await createCertificateRig();
  const order: string[] = [];
  const done = call({ csr }).then(() => order.push("signed"));
  const turn = new Promise<void>((resolve) => setImmediate(() => resolve(void order.push("turn"))));
  await Promise.all([done, turn]);
  expect(order).toEqual(["turn", "signed"]);
});

test("CA-30 each certificate leaves a line: whose, which, until when, for whom", async () => {
  const { call, lines } = await createCertificateRig();
  const [leaf = ""] = chainOf(await call({ csr, lifetime: 3600 }, certificateOf("shop/cart"), { peer: "10.0.0.7:99" }));
  const serial = new X509Certificate(leaf).serialNumber.toLowerCase();
  const line = { identity: "spiffe://cluster.local/ns/shop/sa/cart", serial, notAfter: "2030-01-01T01:00:00.000Z" };
  expect(lines).toEqual([`certificate issued ${JSON.stringify({ ...line, peer: "10.0.0.7:99" })}`]);
});

test("nothing is read of a request before its caller is known", async () => {
  const { callBytes, counts } = await createCertificateRig();
  const nobody = { certificate: { kind: "none" }, bearerTokens: [], clusterIds: [] } as const;
  for (const bytes of [new Uint8Array(), Buffer.from("ffffffffff", "hex"), Buffer.alloc(1_000_000, 0x0a)]) {
    expect(refusalIn(await callBytes(bytes, nobody))).toBe("UNAUTHENTICATED request authenticate failure");
    expect(refusalIn(await callBytes(bytes, certificateOf("shop/cart")))).toMatch(
      /^INVALID_ARGUMENT CSR signing error/,
    );
  }
  expect(counts.filter((count) => count === "citadel_server_csr_count")).toHaveLength(6);
  expect(counts.filter((count) => count === "citadel_server_authentication_failure_count")).toHaveLength(3);
  expect(counts.filter((count) => count === "citadel_server_csr_parsing_err_count")).toHaveLength(3);
});

test("a request that is refused leaves a line, and a thousand do not leave a thousand", async () => {
  const { callBytes, lines } = await createCertificateRig();
  for (let round = 0; round < 1000; round++)
    await callBytes(Buffer.from("ff", "hex"), certificateOf(`shop/a${round}`), { peer: "10.0.0.1:1" });
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThan(20);
  expect(lines[0]).toContain('"reason":"the request is malformed"');
});

test("a client that has gone while it waited costs no signature", async () => {
  const { call, counts, lines } = await createCertificateRig();
  await call({ csr }, certificateOf("shop/cart"), { signal: AbortSignal.abort() });
  expect(counts).toEqual(["citadel_server_csr_count"]);
  expect(lines).toEqual([]);
});

test("metadata of other kinds is passed over", async () => {
  const { call } = await createCertificateRig();
  const metadata = { CertSigner: "elsewhere", __proto__: "x", constructor: "y", ImpersonatedIdentity: "" };
  expect(refusalIn(await call({ csr, metadata }))).toBe("issued");
});
