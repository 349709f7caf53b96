/** Gateway (networking.istio.io): ports that a gateway proxy opens at the edge of the mesh, and the hosts behind them. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import {
  type DeepReadonly,
  flag,
  labels,
  list,
  name,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";

const tlsVersion = (description: string) =>
  optional(oneOf(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"], description));

export const portSchema = record(
  {
    number: uint32("Number of the port."),
    protocol: name(
      "HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP, TLS and so on; TLS passes connections through by server name.",
    ),
    name: name("Name of the port."),
    targetPort: optional(uint32("Port of the endpoints. Not used.")),
  },
  "A port to listen on.",
);

export const serverTlsSchema = record(
  {
    httpsRedirect: optional(flag("Answers plain HTTP with a redirect to HTTPS.")),
    mode: optional(
      oneOf(
        ["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"],
        "How TLS is handled; PASSTHROUGH where not given.",
      ),
    ),
    serverCertificate: optional(text("File with the server's certificate chain.")),
    privateKey: optional(text("File with the server's private key.")),
    caCertificates: optional(text("File with the authorities to check clients by.")),
    caCrl: optional(text("File with a list of revoked certificates.")),
    credentialName: optional(
      text("Name of the secret with the certificates; NAME-cacert holds the authorities for clients."),
    ),
    credentialNames: optional(texts("Names of several secrets, for certificates of different key types.")),
    caCertCredentialName: optional(text("Name of the secret or config map with the authorities for clients.")),
    tlsCertificates: optional(
      list(
        record(
          {
            serverCertificate: optional(text("File with the certificate chain.")),
            privateKey: optional(text("File with the private key.")),
            caCertificates: optional(text("File with the authorities to check clients by.")),
          },
          "One certificate.",
        ),
        "Several certificates of different key types, as files.",
      ),
    ),
    subjectAltNames: optional(texts("Names, one of which the client's certificate must have.")),
    insecureSkipVerify: optional(flag("Takes clients whose certificate no authority vouches for, too.")),
    verifyCertificateSpki: optional(texts("Base64 SHA-256 hashes of public keys that clients may have.")),
    verifyCertificateHash: optional(texts("Hex SHA-256 hashes of certificates that clients may have.")),
    minProtocolVersion: tlsVersion("Lowest TLS version; 1.2 where not given."),
    maxProtocolVersion: tlsVersion("Highest TLS version; 1.3 where not given."),
    cipherSuites: optional(texts("Cipher suites by OpenSSL's names; Envoy's choice where not given.")),
    ecdhCurves: optional(texts("Curves for the key exchange; those of the mesh where not given.")),
  },
  "TLS of a server.",
);

export const serverSchema = record(
  {
    port: portSchema,
    bind: optional(text("Address or Unix socket to listen on; all addresses where not given.")),
    hosts: texts(
      'Hosts behind the port, as "namespace/host" or "host"; the host may be a wildcard, the namespace "." or "*".',
    ),
    tls: optional(serverTlsSchema),
    defaultEndpoint: optional(text("Where traffic goes by default. Not used.")),
    name: optional(text("Name of the server, unique in the gateway.")),
  },
  "One port with its hosts.",
);

export const gatewaySchema = record({
  servers: optional(list(serverSchema, "Ports and their hosts.")),
  selector: optional(labels("Labels of the proxies that are this gateway, in any namespace.")),
});

export type GatewaySpec = DeepReadonly<Static<typeof gatewaySchema>>;
export type Gateway = ApiObject<"Gateway", GatewaySpec>;
export type Server = DeepReadonly<Static<typeof serverSchema>>;
export type ServerTls = DeepReadonly<Static<typeof serverTlsSchema>>;
