import { u32 } from "@meltemi/protos";
import type { FilterChain } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it } from "vitest";
import { listInspectors } from "./inspectors.ts";

const chain = (port: number, transport: string, protocols: readonly string[] = []): FilterChain => ({
  filter_chain_match: {
    ...(port === 0 ? {} : { destination_port: u32(port) }),
    transport_protocol: transport,
    application_protocols: protocols,
  },
});
const range = (port: number) => ({ destination_port_range: { start: port, end: port + 1 } });
const summary = (chains: readonly FilterChain[]) =>
  listInspectors(chains).map(({ name = "", filter_disabled }) => [name.split(".").at(-1), filter_disabled]);

describe("listInspectors", () => {
  it("has none where no chain asks for what they find", () => {
    expect(summary([chain(9080, "raw_buffer")])).toEqual([]);
  });

  it("names the ports that take plain text only, sorted", () => {
    const chains = [chain(0, "tls"), chain(9090, "raw_buffer"), chain(9080, "raw_buffer"), chain(7000, "tls")];
    expect(summary(chains)).toEqual([["tls_inspector", { or_match: { rules: [range(9080), range(9090)] } }]]);
  });

  it("names the ports that take TLS where unknown ports do not", () => {
    const chains = [chain(0, "raw_buffer"), chain(9443, "tls"), chain(9443, "raw_buffer")];
    expect(summary(chains)).toEqual([["tls_inspector", { not_match: range(9443) }]]);
  });

  it("looks for HTTP behind TLS, and only on ports that tell it from bytes", () => {
    const chains = [chain(0, "raw_buffer", ["http/1.1", "h2c"]), chain(0, "tls"), chain(9080, "tls", ["istio"])];
    expect(summary(chains)).toEqual([
      ["tls_inspector", undefined],
      ["http_inspector", range(9080)],
    ]);
  });
});
