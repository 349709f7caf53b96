/** The traffic policy of a DestinationRule: parts of it are also used by Sidecar and by the mesh configuration. */
import {
  decimal,
  duration,
  flag,
  int32,
  list,
  name,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";
import { loadBalancerSchema } from "./load-balancer.ts";

export const tcpKeepaliveSchema = record(
  {
    probes: optional(uint32("Unanswered probes before the connection counts as dead.")),
    time: optional(duration("Idle time before the first probe.")),
    interval: optional(duration("Time between probes.")),
  },
  "Keep-alive probes of the operating system.",
);

export const connectionPoolSchema = record(
  {
    tcp: optional(
      record(
        {
          maxConnections: optional(int32("Most connections to a destination.")),
          connectTimeout: optional(duration("Timeout of connecting; that of the mesh where not given.")),
          tcpKeepalive: optional(tcpKeepaliveSchema),
          maxConnectionDuration: optional(duration("Longest life of a connection.")),
          idleTimeout: optional(
            duration("Time without bytes after which a TCP connection is closed; 0s turns it off."),
          ),
        },
        "Settings of TCP and HTTP connections.",
      ),
    ),
    http: optional(
      record(
        {
          http1MaxPendingRequests: optional(int32("Most requests that wait for a connection.")),
          http2MaxRequests: optional(int32("Most requests at a time, for HTTP/1.1 as well.")),
          maxRequestsPerConnection: optional(
            int32("Most requests of one connection; 1 turns keep-alive off, 0 is no limit."),
          ),
          maxRetries: optional(int32("Most retries at a time.")),
          idleTimeout: optional(duration("Time without requests after which a connection is closed.")),
          h2UpgradePolicy: optional(
            oneOf(
              ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"],
              "Whether HTTP/1.1 goes on as HTTP/2; DEFAULT does as the mesh does.",
            ),
          ),
          useClientProtocol: optional(flag("Keeps the HTTP version of the client; h2UpgradePolicy is then ignored.")),
          maxConcurrentStreams: optional(int32("Most streams at a time on one HTTP/2 connection.")),
          http2KeepAlive: optional(
            record(
              {
                interval: optional(duration("Time between PING frames.")),
                timeout: optional(duration("Time to wait for the answer before the connection is closed.")),
              },
              "PING frames on HTTP/2 connections.",
            ),
          ),
        },
        "Settings of HTTP connections.",
      ),
    ),
  },
  "Limits of connections.",
);

export const outlierDetectionSchema = record(
  {
    consecutiveErrors: optional(
      int32("Errors in a row. Use consecutive5xxErrors or consecutiveGatewayErrors instead."),
    ),
    splitExternalLocalOriginErrors: optional(flag("Counts errors of the proxy's own side (connect, timeout) apart.")),
    consecutiveLocalOriginFailures: optional(
      uint32("Own-side errors in a row before ejection; needs splitExternalLocalOriginErrors."),
    ),
    consecutiveGatewayErrors: optional(
      uint32("Gateway errors (502, 503, 504) in a row before ejection; 0 turns this off."),
    ),
    consecutive5xxErrors: optional(uint32("5xx errors in a row before ejection; 5 where not given, 0 turns this off.")),
    interval: optional(duration("Time between two looks; 10s where not given.")),
    baseEjectionTime: optional(
      duration("Shortest ejection, multiplied by the number of ejections; 30s where not given."),
    ),
    maxEjectionPercent: optional(int32("Most endpoints that may be ejected, in percent; 10 where not given.")),
    minHealthPercent: optional(
      int32("Share of healthy endpoints in percent under which ejections are ignored; 0 where not given."),
    ),
    outlierDetectionHttpErrorCodes: optional(
      list(uint32("HTTP status from 100 to 599."), "HTTP statuses that count as errors; 5xx where not given."),
    ),
  },
  "Takes endpoints that fail out of balancing for a while.",
);

export const clientTlsSchema = record(
  {
    mode: optional(oneOf(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"], "Whether and how connections use TLS.")),
    clientCertificate: optional(text("File with the client's certificate chain; for MUTUAL.")),
    privateKey: optional(text("File with the client's private key; for MUTUAL.")),
    caCertificates: optional(
      text("File with the authorities to check the server by; those of the system where not given."),
    ),
    credentialName: optional(text("Name of the secret with the certificates, in the proxy's namespace.")),
    subjectAltNames: optional(texts("Names, one of which the server's certificate must have.")),
    sni: optional(text("Server name to send.")),
    insecureSkipVerify: optional(flag("Does not check the server's certificate.")),
    caCrl: optional(text("File with a list of revoked certificates.")),
  },
  "TLS of connections to the destination.",
);

const portPolicySchema = record(
  {
    port: optional(record({ number: optional(uint32("Number of the port.")) }, "Port of the destination.")),
    loadBalancer: optional(loadBalancerSchema),
    connectionPool: optional(connectionPoolSchema),
    outlierDetection: optional(outlierDetectionSchema),
    tls: optional(clientTlsSchema),
  },
  "Policy of one port; it replaces the policy of the destination wholly.",
);

export const trafficPolicySchema = record(
  {
    loadBalancer: optional(loadBalancerSchema),
    connectionPool: optional(connectionPoolSchema),
    outlierDetection: optional(outlierDetectionSchema),
    tls: optional(clientTlsSchema),
    portLevelSettings: optional(list(portPolicySchema, "Policies of single ports.")),
    tunnel: optional(
      record(
        {
          protocol: optional(text("CONNECT or POST; CONNECT where not given.")),
          targetHost: name("Host to ask the tunnel for."),
          targetPort: uint32("Port to ask the tunnel for."),
        },
        "Sends TCP through an HTTP tunnel.",
      ),
    ),
    proxyProtocol: optional(
      record(
        { version: optional(oneOf(["V1", "V2"], "Version; V1 where not given.")) },
        "Sends the PROXY protocol header.",
      ),
    ),
    retryBudget: optional(
      record(
        {
          percent: optional(decimal("Retries in percent of the active requests; 20 where not given.")),
          minRetryConcurrency: optional(uint32("Retries that are always allowed; 3 where not given.")),
          budgetInterval: optional(duration("Time over which requests are counted for the budget.")),
        },
        "Bounds the retries at a time by the active requests.",
      ),
    ),
  },
  "Policy for traffic to the destination.",
);
