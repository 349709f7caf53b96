/** What a route of a VirtualService matches: HTTP requests, TLS handshakes and TCP connections. */
import { flag, labels, list, map, optional, record, stringMatch, text, texts, uint32 } from "../schema-fields.ts";

const origin = {
  port: optional(uint32("Port of the host that is being addressed.")),
  sourceLabels: optional(labels("Labels of the calling workload; not looked at on gateways.")),
  gateways: optional(texts("Gateways for which this match counts; overrides the list of the VirtualService.")),
  sourceNamespace: optional(text("Namespace of the calling workload; not looked at on gateways.")),
};

export const httpMatchSchema = record(
  {
    name: optional(text("Name of the match; added to the name of the route in statistics and logs.")),
    uri: optional(stringMatch("Compares the path of the request, without the query.")),
    scheme: optional(stringMatch("Compares the scheme of the URI.")),
    method: optional(stringMatch("Compares the HTTP method.")),
    authority: optional(stringMatch("Compares the authority (Host header) of the request.")),
    headers: optional(
      map(
        stringMatch("How the header's value is compared."),
        "Headers by lower-case name; an empty match asks only for presence.",
      ),
    ),
    ...origin,
    queryParams: optional(map(stringMatch("How the parameter's value is compared."), "Query parameters by name.")),
    ignoreUriCase: optional(flag("Compares the path without regard to case; for exact and prefix only.")),
    withoutHeaders: optional(
      map(
        stringMatch("How the header's value is compared."),
        "Headers that must be absent or must not compare like this.",
      ),
    ),
    statPrefix: optional(text("Prefix of extra statistics that are kept for this match.")),
  },
  "Conditions on a request, all of which must hold.",
);

export const tlsMatchSchema = record(
  {
    sniHosts: list(
      text("A host, or a wildcard such as *.example.com, that is within the hosts of the VirtualService."),
      "Server names of the TLS handshake.",
    ),
    destinationSubnets: optional(texts("Destination addresses as IP or CIDR.")),
    ...origin,
  },
  "Conditions on a TLS connection that is passed through.",
);

export const l4MatchSchema = record(
  {
    destinationSubnets: optional(texts("Destination addresses as IP or CIDR.")),
    ...origin,
    sourceSubnet: optional(text("Source address as IP or CIDR. Not used any more.")),
  },
  "Conditions on a TCP connection.",
);
