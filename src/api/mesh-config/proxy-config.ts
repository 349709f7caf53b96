/** ProxyConfig (istio.mesh.v1alpha1): settings of each proxy, the `defaultConfig` of the mesh and annotations of pods. */
import { Type } from "typebox";
import { clientTlsSchema, tcpKeepaliveSchema } from "../destination-rule/traffic-policy.ts";
import {
  decimal,
  duration,
  flag,
  int32,
  labels,
  map,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";
import { connectionSettingsSchema } from "./connection-settings.ts";

const address = (description: string) => record({ address: optional(text("Address as host:port.")) }, description);

const remoteService = record(
  {
    address: optional(text("Address as host:port.")),
    tlsSettings: optional(clientTlsSchema),
    tcpKeepalive: optional(tcpKeepaliveSchema),
  },
  "A service that the proxy reports to.",
);

const tracingTags = map(
  record(
    {
      literal: optional(record({ value: text("The value.") }, "A fixed value.")),
      environment: optional(
        record(
          { name: text("Name of the variable."), defaultValue: optional(text("Value where it is not set.")) },
          "A variable of the proxy's environment.",
        ),
      ),
      header: optional(
        record(
          { name: text("Name of the header."), defaultValue: optional(text("Value where it is absent.")) },
          "A header of the request.",
        ),
      ),
    },
    "Where the value of the tag comes from.",
  ),
  "Tags to add to spans.",
);

export const tracingSchema = record(
  {
    zipkin: optional(address("Zipkin.")),
    lightstep: optional(
      record(
        { address: optional(text("Address as host:port.")), accessToken: optional(text("Access token.")) },
        "Lightstep.",
      ),
    ),
    datadog: optional(address("Datadog.")),
    stackdriver: optional(
      record(
        {
          debug: optional(flag("Prints traces as well.")),
          maxNumberOfAttributes: optional(uint32("Most attributes of a span.")),
          maxNumberOfAnnotations: optional(uint32("Most annotations of a span.")),
          maxNumberOfMessageEvents: optional(uint32("Most message events of a span.")),
        },
        "Google Cloud Trace.",
      ),
    ),
    openCensusAgent: optional(
      record(
        { address: optional(text("Address.")), context: optional(texts("Context formats.")) },
        "OpenCensus agent.",
      ),
    ),
    customTags: optional(tracingTags),
    maxPathTagLength: optional(uint32("Longest path in a span.")),
    sampling: optional(decimal("Requests that are traced, in percent.")),
    tlsSettings: optional(clientTlsSchema),
    enableIstioTags: optional(flag("Adds Istio's own tags to spans.")),
  },
  "Tracing.",
);

const headerToggle = optional(record({ disabled: optional(flag("Leaves the header out.")) }, "One header."));

export const proxyHeadersSchema = record(
  {
    forwardedClientCert: optional(
      oneOf(
        ["UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"],
        "Handling of X-Forwarded-Client-Cert.",
      ),
    ),
    setCurrentClientCertDetails: optional(
      record(
        {
          subject: optional(flag("Adds the subject.")),
          cert: optional(flag("Adds the certificate.")),
          chain: optional(flag("Adds the chain.")),
          dns: optional(flag("Adds the DNS names.")),
          uri: optional(flag("Adds the URI.")),
        },
        "What X-Forwarded-Client-Cert says of the client.",
      ),
    ),
    requestId: headerToggle,
    server: optional(
      record(
        {
          disabled: optional(flag("Leaves the header as the application set it.")),
          value: optional(text("Value of the header.")),
        },
        "The server header.",
      ),
    ),
    attemptCount: headerToggle,
    envoyDebugHeaders: headerToggle,
    metadataExchangeHeaders: optional(
      record(
        { mode: optional(oneOf(["UNDEFINED", "IN_MESH"], "Where they are sent.")) },
        "Headers of the metadata exchange.",
      ),
    ),
    preserveHttp1HeaderCase: optional(flag("Keeps the case of HTTP/1 headers.")),
    xForwardedHost: optional(
      record({ enabled: optional(flag("Adds X-Forwarded-Host where the host is rewritten.")) }, "X-Forwarded-Host."),
    ),
    xForwardedPort: optional(record({ enabled: optional(flag("Adds X-Forwarded-Port.")) }, "X-Forwarded-Port.")),
  },
  "Headers that the proxy adds.",
);

export const proxyConfigSchema = record(
  {
    configPath: optional(text("Directory of the generated bootstrap.")),
    binaryPath: optional(text("Path of the proxy.")),
    serviceCluster: optional(text("Name of the service that the proxy serves.")),
    tracingServiceName: optional(
      oneOf(
        ["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"],
        "What names the service in traces.",
      ),
    ),
    drainDuration: optional(duration("How long connections are drained at a hot restart or when a listener goes.")),
    terminationDrainDuration: optional(duration("How long connections are drained at the end.")),
    parentShutdownDuration: optional(duration("Not used any more.")),
    discoveryAddress: optional(text("Address of the control plane as host:port.")),
    discoveryRefreshDelay: optional(duration("Not used any more.")),
    zipkinAddress: optional(text("Not used any more; see tracing.")),
    statsdUdpAddress: optional(text("Address of a statsd server.")),
    envoyMetricsServiceAddress: optional(text("Not used any more.")),
    proxyAdminPort: optional(uint32("Port of the proxy's admin interface.")),
    availabilityZone: optional(text("Not used any more.")),
    controlPlaneAuthPolicy: optional(
      oneOf(["NONE", "MUTUAL_TLS", "INHERIT"], "How the control plane is authenticated."),
    ),
    customConfigFile: optional(text("File of an own bootstrap.")),
    statNameLength: optional(int32("Longest name of a statistic.")),
    concurrency: optional(int32("Worker threads; from the CPU limit where not given, 0 for all cores.")),
    proxyBootstrapTemplatePath: optional(text("File of an own template of the bootstrap.")),
    interceptionMode: optional(oneOf(["REDIRECT", "TPROXY", "NONE"], "How traffic is captured.")),
    tracing: optional(tracingSchema),
    sds: optional(Type.Record(Type.String(), Type.Unknown(), { description: "Not used any more." })),
    envoyAccessLogService: optional(remoteService),
    envoyMetricsService: optional(remoteService),
    proxyMetadata: optional(
      labels("Variables for the agent; those that start with ISTIO_META_ become metadata of the node."),
    ),
    runtimeValues: optional(labels("Runtime flags of Envoy.")),
    statusPort: optional(int32("Port of the agent's status server.")),
    extraStatTags: optional(texts("More tags of statistics.")),
    gatewayTopology: optional(
      record(
        {
          numTrustedProxies: optional(uint32("Trusted proxies in front of the gateway.")),
          forwardClientCertDetails: optional(
            oneOf(
              ["UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"],
              "Handling of X-Forwarded-Client-Cert.",
            ),
          ),
          proxyProtocol: optional(record({}, "Reads the PROXY protocol header.")),
        },
        "What stands in front of the gateway.",
      ),
    ),
    meshId: optional(text("Name of the mesh.")),
    readinessProbe: optional(Type.Record(Type.String(), Type.Unknown(), { description: "Probe of virtual machines." })),
    proxyStatsMatcher: optional(
      record(
        {
          inclusionPrefixes: optional(texts("Prefixes of statistics to keep.")),
          inclusionSuffixes: optional(texts("Suffixes of statistics to keep.")),
          inclusionRegexps: optional(texts("Expressions of statistics to keep.")),
        },
        "Statistics to keep besides Istio's own.",
      ),
    ),
    holdApplicationUntilProxyStarts: optional(flag("Starts the application only when the proxy is ready.")),
    caCertificatesPem: optional(texts("More authorities, as PEM.")),
    image: optional(
      record({ imageType: optional(text("Variant of the image, such as distroless.")) }, "Image of the proxy."),
    ),
    privateKeyProvider: optional(
      record(
        {
          cryptomb: optional(
            record(
              {
                pollDelay: optional(duration("Wait for a batch.")),
                fallback: optional(flag("Uses BoringSSL where the hardware has none.")),
              },
              "Intel CryptoMB.",
            ),
          ),
          qat: optional(
            record(
              {
                pollDelay: optional(duration("Wait between polls.")),
                fallback: optional(flag("Uses BoringSSL where the hardware has none.")),
              },
              "Intel QuickAssist.",
            ),
          ),
        },
        "Hardware for private keys.",
      ),
    ),
    proxyHeaders: optional(proxyHeadersSchema),
    connectionSettings: optional(connectionSettingsSchema),
    fileFlushInterval: optional(duration("How often access logs are written out.")),
    fileFlushMinSizeKb: optional(uint32("Size in KiB at which access logs are written out.")),
    statsEvictionInterval: optional(duration("How often unused statistics are dropped.")),
    statsCompression: optional(flag("Compresses the answers of the statistics endpoint.")),
  },
  "Settings of each proxy.",
);
