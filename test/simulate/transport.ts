/** What the transport socket of a filter chain does with a call. */
import { unpackAs } from "@meltemi/protos";
import type { FilterChain } from "@meltemi/protos/envoy/config/listener/v3";
import type { DownstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { PlannedCall } from "./call.ts";
import type { Accepted, Closed } from "./outcome.ts";

export type Handshake =
  | { readonly kind: "open"; readonly tls: Accepted["tls"]; readonly clientCertificate?: Accepted["clientCertificate"] }
  | { readonly kind: "failed"; readonly reason: Closed["reason"] };

/** Encrypted bytes on a chain without TLS are `passthrough`: whether that is right is for the network filter to say. */
export function shakeHands(chain: FilterChain, call: PlannedCall): Handshake {
  const context = readDownstreamTls(chain);
  if (context === undefined) return { kind: "open", tls: call.tls === undefined ? "none" : "passthrough" };
  if (call.tls === undefined) return { kind: "failed", reason: "plain text where TLS is needed" };
  const isRequired = context.require_client_certificate?.value === true;
  if (isRequired && !call.tls.certificate) return { kind: "failed", reason: "no client certificate" };
  const asked = validates(context) ? "requested" : "ignored";
  return { kind: "open", tls: "terminated", clientCertificate: isRequired ? "required" : asked };
}

function readDownstreamTls({ transport_socket: socket }: FilterChain): DownstreamTlsContext | undefined {
  if (socket?.typed_config === undefined) return undefined;
  const type = socket.typed_config.type_url?.split("/").at(-1);
  if (type === "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") return undefined;
  const name = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const context = unpackAs(name, socket.typed_config);
  if (context === undefined) throw new Error(`transport socket ${type} is not simulated`);
  return context;
}

/** Envoy asks for a certificate where it has something to check it with. */
function validates({ common_tls_context: common }: DownstreamTlsContext): boolean {
  return (
    common?.validation_context !== undefined ||
    common?.validation_context_sds_secret_config !== undefined ||
    common?.combined_validation_context !== undefined
  );
}
