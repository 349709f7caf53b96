/** Fields of a connection manager that change answers and are not implemented: refused by name. */

import { typeNameOf, unpackAs } from "@meltemi/protos";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { ConfigError } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";

const refused = [
  "scoped_routes",
  "path_normalization_options",
  "typed_header_validation_config",
  "http3_protocol_options",
  "proxy_status_config",
] as const satisfies readonly (keyof HttpConnectionManager)[];

const uuid = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";

export function refuseUnknown(wire: HttpConnectionManager): void {
  for (const field of refused) if (wire[field] !== undefined) throw new ConfigError(field, "is not implemented");
  const requestId = wire.request_id_extension?.typed_config;
  if (requestId !== undefined && typeNameOf(requestId.type_url ?? "") !== uuid) {
    throw new ConfigError(
      "request_id_extension.typed_config",
      `${typeNameOf(requestId.type_url ?? "")} is not implemented`,
    );
  }
  // use_request_id_for_trace_sampling decides only which of the requests are drawn, never how many.
  const uuidConfig = requestId === undefined ? undefined : unpackAs(uuid, requestId);
  if (!wrappedBool(uuidConfig?.pack_trace_reason, true)) {
    throw new ConfigError("request_id_extension.typed_config.pack_trace_reason", "false is not implemented");
  }
  const http1 = wire.http_protocol_options;
  // use_balsa_parser and use_oghttp2_codec choose between implementations of Envoy, append_local_overload answers only
  // under its overload manager, stream_error_on_invalid_http_message keeps connections that end here, as after any error, allow_metadata concerns frames that no client sends unasked: none changes answers here.
  // send_fully_qualified_url is about requests, which this side never sends.
  if (http1?.send_fully_qualified_url === true) {
    throw new ConfigError("http_protocol_options.send_fully_qualified_url", "is not for connections of clients");
  }
}
