/** MeshConfig (istio.mesh.v1alpha1): settings of the whole mesh, the content of the ConfigMap `istio`, key `mesh`. */
import type { Static } from "typebox";
import { localityLbSettingSchema, zoneAwareLbSettingSchema } from "../destination-rule/load-balancer.ts";
import { clientTlsSchema, tcpKeepaliveSchema, trafficPolicySchema } from "../destination-rule/traffic-policy.ts";
import {
  type DeepReadonly,
  duration,
  flag,
  labels,
  list,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";
import { outboundTrafficPolicySchema } from "../sidecar/schema.ts";
import { retrySchema } from "../virtual-service/actions.ts";
import { extensionProviderSchema } from "./extension-providers.ts";
import { proxyConfigSchema } from "./proxy-config.ts";

const labelSelectorSchema = record(
  {
    matchLabels: optional(labels("Labels that must be equal.")),
    matchExpressions: optional(
      list(
        record(
          {
            key: text("Name of the label."),
            operator: oneOf(["In", "NotIn", "Exists", "DoesNotExist"], "How the label is compared."),
            values: optional(texts("Values for In and NotIn.")),
          },
          "One condition.",
        ),
        "Conditions that must all hold.",
      ),
    ),
  },
  "A selector of Kubernetes.",
);

const tlsConfigSchema = record(
  {
    minProtocolVersion: optional(oneOf(["TLS_AUTO", "TLSV1_2", "TLSV1_3"], "Lowest TLS version.")),
    ecdhCurves: optional(texts("Curves for the key exchange.")),
    cipherSuites: optional(texts("Cipher suites by OpenSSL's names.")),
  },
  "TLS parameters.",
);

const exportDefault = (kind: string) => optional(texts(`exportTo of a ${kind} that gives none.`));

const trafficFields = {
  connectTimeout: optional(duration("Timeout of connecting to an endpoint.")),
  tcpKeepalive: optional(tcpKeepaliveSchema),
  protocolDetectionTimeout: optional(
    duration("How long a listener waits for the first bytes to find out the protocol; 0s waits without end."),
  ),
  enableAutoMtls: optional(flag("Uses mutual TLS wherever the endpoint can do it and no rule says otherwise.")),
  outboundTrafficPolicy: optional(
    record(
      { ...outboundTrafficPolicySchema.properties, tls: optional(clientTlsSchema) },
      "What happens to traffic to unknown hosts; tls is for those that the proxy looks up itself.",
    ),
  ),
  inboundTrafficPolicy: optional(
    record(
      {
        mode: optional(
          oneOf(
            ["PASSTHROUGH", "LOCALHOST"],
            "Whether the application gets traffic on its own address or on localhost.",
          ),
        ),
      },
      "How traffic comes to the application.",
    ),
  ),
  localityLbSetting: optional(localityLbSettingSchema),
  zoneAwareLbSetting: optional(zoneAwareLbSettingSchema),
  dnsRefreshRate: optional(
    duration("How often names of endpoints are resolved anew where their records give no time."),
  ),
  h2UpgradePolicy: optional(oneOf(["DO_NOT_UPGRADE", "UPGRADE"], "Whether HTTP/1.1 goes on as HTTP/2.")),
  defaultTrafficPolicy: optional(trafficPolicySchema),
  defaultHttpRetryPolicy: optional(retrySchema),
  defaultInboundHttpRetryPolicy: optional(retrySchema),
  pathNormalization: optional(
    record(
      {
        normalization: optional(
          oneOf(
            ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"],
            "How the path of a request is normalized; DEFAULT is BASE.",
          ),
        ),
      },
      "Normalization of paths.",
    ),
  ),
};

const exportFields = {
  defaultServiceExportTo: exportDefault("service"),
  defaultVirtualServiceExportTo: exportDefault("VirtualService"),
  defaultDestinationRuleExportTo: exportDefault("DestinationRule"),
};

const ingressFields = {
  ingressService: optional(text("Service of the gateway for Kubernetes Ingress.")),
  ingressControllerMode: optional(
    oneOf(["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"], "Which Ingress objects are served."),
  ),
  ingressClass: optional(text("Class of the Ingress objects that are served.")),
  ingressSelector: optional(text("Value of the label istio of the gateway that serves Ingress objects.")),
};

const identityFields = {
  rootNamespace: optional(text("Namespace whose policies count for the whole mesh.")),
  trustDomain: optional(text("First part of the identities of workloads.")),
  trustDomainAliases: optional(texts("Other trust domains whose identities count as our own.")),
  caCertificates: optional(
    list(
      record(
        {
          pem: optional(text("Certificates as PEM.")),
          spiffeBundleUrl: optional(text("URL of a SPIFFE bundle.")),
          certSigners: optional(texts("Kubernetes signers that these certificates belong to.")),
          trustDomains: optional(texts("Trust domains that these certificates belong to.")),
        },
        "Trusted certificates.",
      ),
      "More authorities that the mesh trusts.",
    ),
  ),
  ca: optional(
    record(
      {
        address: optional(text("Address of the authority's gRPC service.")),
        tlsSettings: optional(clientTlsSchema),
        requestTimeout: optional(duration("Timeout of a request for a certificate.")),
        istiodSide: optional(flag("Whether the control plane or each proxy talks to the authority.")),
      },
      "An authority outside of the control plane.",
    ),
  ),
  certificates: optional(
    list(
      record(
        { secretName: optional(text("Secret to keep it in.")), dnsNames: optional(texts("Names of the certificate.")) },
        "A certificate.",
      ),
      "Certificates for services of the control plane.",
    ),
  ),
  meshMTLS: optional(tlsConfigSchema),
  tlsDefaults: optional(tlsConfigSchema),
  verifyCertificateAtClient: optional(
    flag("Checks server certificates by default where a DestinationRule names no authorities."),
  ),
};

const telemetryFields = {
  enableTracing: optional(flag("Turns tracing on.")),
  accessLogFile: optional(text("File of the access log, such as /dev/stdout; no log where empty.")),
  accessLogFormat: optional(text("Format of the access log; Istio's own where empty.")),
  accessLogEncoding: optional(oneOf(["TEXT", "JSON"], "Encoding of the access log.")),
  enableEnvoyAccessLogService: optional(flag("Sends access logs to the service of defaultConfig.")),
  disableEnvoyListenerLog: optional(flag("Leaves access logs of listeners out.")),
  enablePrometheusMerge: optional(flag("Lets the agent merge the application's metrics into the proxy's.")),
  extensionProviders: optional(
    list(extensionProviderSchema, "Providers for tracing, metrics, logs and authorization."),
  ),
  defaultProviders: optional(
    record(
      {
        tracing: optional(texts("Names of providers for tracing.")),
        metrics: optional(texts("Names of providers for metrics.")),
        accessLogging: optional(texts("Names of providers for access logs.")),
      },
      "Providers where Telemetry names none.",
    ),
  ),
  outboundClusterStatName: optional(text("Pattern of statistics' names for outbound clusters.")),
  inboundClusterStatName: optional(text("Pattern of statistics' names for inbound clusters.")),
};

/** Fields of earlier versions that proxies have no use for any more. */
const retiredFields = {
  thriftConfig: optional(
    record(
      {
        rateLimitUrl: optional(text("Not used any more.")),
        rateLimitTimeout: optional(duration("Not used any more.")),
      },
      "Not used any more.",
    ),
  ),
};

const discoveryFields = {
  discoverySelectors: optional(
    list(labelSelectorSchema, "Namespaces that the mesh looks at; all where there is none."),
  ),
  serviceSettings: optional(
    list(
      record(
        {
          settings: optional(
            record(
              { clusterLocal: optional(flag("Whether only endpoints of the caller's cluster are used.")) },
              "Settings of the hosts.",
            ),
          ),
          hosts: optional(texts("Hosts, exact or with a wildcard.")),
        },
        "Settings of some services.",
      ),
      "Settings of services.",
    ),
  ),
  serviceScopeConfigs: optional(
    list(
      record(
        {
          namespaceSelector: optional(labelSelectorSchema),
          servicesSelector: optional(labelSelectorSchema),
          scope: optional(oneOf(["LOCAL", "GLOBAL"], "Whether services are seen by other clusters.")),
        },
        "Scope of some services.",
      ),
      "Which services other clusters see, in ambient mode.",
    ),
  ),
  configSources: optional(
    list(
      record(
        {
          address: optional(text("Address of the source.")),
          tlsSettings: optional(clientTlsSchema),
          subscribedResources: optional(texts("Resources to subscribe to.")),
        },
        "A source of configuration.",
      ),
      "Where configuration is read from.",
    ),
  ),
};

export const meshConfigSchema = record({
  proxyListenPort: optional(uint32("Port of the outbound listener.")),
  proxyInboundListenPort: optional(uint32("Port of the inbound listener.")),
  proxyHttpPort: optional(uint32("Port of an explicit HTTP proxy; 0 for none.")),
  defaultConfig: optional(proxyConfigSchema),
  ...trafficFields,
  ...exportFields,
  ...ingressFields,
  ...identityFields,
  ...telemetryFields,
  ...discoveryFields,
  ...retiredFields,
});

export type MeshConfigSpec = DeepReadonly<Static<typeof meshConfigSchema>>;
export type ProxyConfig = DeepReadonly<Static<typeof proxyConfigSchema>>;

/** Fields that always have a value once Istio's defaults are merged in. */
type DefaultedField =
  | "proxyListenPort"
  | "proxyInboundListenPort"
  | "proxyHttpPort"
  | "connectTimeout"
  | "protocolDetectionTimeout"
  | "enableAutoMtls"
  | "outboundTrafficPolicy"
  | "inboundTrafficPolicy"
  | "localityLbSetting"
  | "dnsRefreshRate"
  | "h2UpgradePolicy"
  | "defaultServiceExportTo"
  | "defaultVirtualServiceExportTo"
  | "defaultDestinationRuleExportTo"
  | "ingressService"
  | "ingressControllerMode"
  | "ingressClass"
  | "rootNamespace"
  | "trustDomain"
  | "trustDomainAliases"
  | "enableTracing"
  | "accessLogFile"
  | "accessLogFormat"
  | "accessLogEncoding"
  | "enableEnvoyAccessLogService"
  | "enablePrometheusMerge"
  | "extensionProviders"
  | "defaultProviders"
  | "defaultConfig";

/** The mesh's settings with Istio's defaults merged in. */
export type MeshConfig = MeshConfigSpec & { readonly [Field in DefaultedField]-?: NonNullable<MeshConfigSpec[Field]> };
