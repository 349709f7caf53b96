{{/* Revision as labels and the control plane know it. */}}
{{- define "meltemi.revision" -}}
{{- .Values.revision | default "default" -}}
{{- end -}}

{{/* End of names: "-REVISION", nothing for the default revision. */}}
{{- define "meltemi.suffix" -}}
{{- if ne (include "meltemi.revision" .) "default" -}}-{{ .Values.revision }}{{- end -}}
{{- end -}}

{{/* Name of namespaced objects. */}}
{{- define "meltemi.name" -}}
meltemi{{ include "meltemi.suffix" . }}
{{- end -}}

{{/* Name of cluster-wide objects: two releases in different namespaces must not share them. */}}
{{- define "meltemi.clusterName" -}}
{{- include "meltemi.name" . }}-{{ .Release.Namespace -}}
{{- end -}}

{{- define "meltemi.validatorName" -}}
meltemi-validator{{ include "meltemi.suffix" . }}-{{ .Release.Namespace }}
{{- end -}}

{{/* Istio's names for what injects: of two injectors of one revision in one namespace the second is not installed. */}}
{{- define "meltemi.injectorName" -}}
istio-sidecar-injector{{ include "meltemi.suffix" . }}{{ if ne .Release.Namespace "istio-system" }}-{{ .Release.Namespace }}{{ end }}
{{- end -}}

{{- define "meltemi.injectorConfigMapName" -}}
istio-sidecar-injector{{ include "meltemi.suffix" . }}
{{- end -}}

{{/*
What proxies are injected with, in the layout of the values of Istio's chart; values of `injection.values` come last. An
image is hub, name and tag, so that pods may ask for a variant of it; one with a digest is a name with everything in it.
*/}}
{{- define "meltemi.injectionValues" -}}
{{- $proxy := .Values.proxy -}}
{{- $repository := $proxy.image.repository -}}
{{- if not (contains "/" $repository) -}}{{- $repository = printf "docker.io/library/%s" $repository -}}{{- end -}}
{{- $name := base $repository -}}
{{- if $proxy.image.digest -}}{{- $name = printf "%s@%s" $repository $proxy.image.digest -}}{{- end -}}
{{- $settings := omit $proxy "image" "imagePullSecrets" "network" "meshID" "cni" -}}
{{- $settings = merge (dict "image" $name "clusterDomain" .Values.clusterDomain) $settings -}}
{{- $global := dict
  "hub" (dir $repository)
  "tag" (toString ($proxy.image.tag | default .Chart.AppVersion))
  "imagePullPolicy" $proxy.image.pullPolicy
  "imagePullSecrets" $proxy.imagePullSecrets
  "istioNamespace" .Release.Namespace
  "caAddress" (printf "%s.%s.svc:15012" (include "meltemi.name" .) .Release.Namespace)
  "logAsJson" .Values.logAsJson
  "meshID" $proxy.meshID
  "network" $proxy.network
  "multiCluster" (dict "clusterName" .Values.clusterID)
  "proxy" $settings
  "proxy_init" (dict "image" $name) -}}
{{- $values := dict
  "revision" .Values.revision
  "global" $global
  "sidecarInjectorWebhook" (dict "rewriteAppHTTPProbe" .Values.injection.rewriteAppHTTPProbe)
  "pilot" (dict "cni" $proxy.cni) -}}
{{- mustMergeOverwrite $values (deepCopy .Values.injection.values) | toYaml -}}
{{- end -}}

{{/* Istio's name for the ConfigMap of the mesh. */}}
{{- define "meltemi.meshConfigMapName" -}}
istio{{ include "meltemi.suffix" . }}
{{- end -}}

{{- define "meltemi.selectorLabels" -}}
app.kubernetes.io/name: meltemi
app.kubernetes.io/instance: {{ .Release.Name }}
istio.io/rev: {{ include "meltemi.revision" . }}
{{- end -}}

{{- define "meltemi.labels" -}}
{{ include "meltemi.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: control-plane
app.kubernetes.io/part-of: meltemi
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "meltemi.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Options for Node: three quarters of the memory limit as heap, in MiB, then those of the values. */}}
{{- define "meltemi.nodeOptions" -}}
{{- $options := list -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if $limit -}}
{{- $form := "^([0-9]+(?:\\.[0-9]+)?(?:e\\+?[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?$" -}}
{{- if not (regexMatch $form $limit) -}}
{{- fail (printf "resources.limits.memory: %q is not a quantity such as 2Gi, 1500Mi or 2G" $limit) -}}
{{- end -}}
{{- $bytes := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexReplaceAll $form $limit "${1}" | float64 -}}
{{- $unit := get $bytes (regexReplaceAll $form $limit "${2}") -}}
{{- $heap := divf (mulf $number $unit 0.75) 1048576 | floor | int64 -}}
{{- if lt $heap 64 -}}
{{- fail (printf "resources.limits.memory: %s leaves a heap of %d MiB; the control plane needs 64 MiB or more" $limit $heap) -}}
{{- end -}}
{{- $options = append $options (printf "--max-old-space-size=%d" $heap) -}}
{{- end -}}
{{- concat $options .Values.nodeOptions | join " " -}}
{{- end -}}

{{/*
The failure policy of a webhook, as [root, name of the webhook]. Where the values leave it to the control plane, an
upgrade keeps what the control plane has set by now, because to write Ignore again would open the door until its next
self-test.
*/}}
{{- define "meltemi.failurePolicy" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $policy := $root.Values.validation.failurePolicy -}}
{{- if not $policy -}}
{{- $live := lookup "admissionregistration.k8s.io/v1" "ValidatingWebhookConfiguration" "" (include "meltemi.validatorName" $root) -}}
{{- range $webhook := $live.webhooks -}}
{{- if eq $webhook.name $name -}}{{- $policy = $webhook.failurePolicy -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $policy | default "Ignore" -}}
{{- end -}}

{{/* Kinds of Istio as {group: {versions, plurals}}: what is watched, what is validated and what has a status. */}}
{{- define "meltemi.istioKinds" -}}
networking.istio.io:
  versions: [v1, v1beta1, v1alpha3]
  plurals: [destinationrules, envoyfilters, gateways, proxyconfigs, serviceentries, sidecars, virtualservices, workloadentries, workloadgroups]
security.istio.io:
  versions: [v1, v1beta1]
  plurals: [authorizationpolicies, peerauthentications, requestauthentications]
telemetry.istio.io:
  versions: [v1, v1alpha1]
  plurals: [telemetries]
extensions.istio.io:
  versions: [v1alpha1]
  plurals: [trafficextensions, wasmplugins]
{{- end -}}

{{/* The service account as subject of a binding. */}}
{{- define "meltemi.subject" -}}
- kind: ServiceAccount
  name: {{ include "meltemi.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Name of the Lease that says which replica leads. */}}
{{- define "meltemi.leaseName" -}}
meltemi-leader{{ include "meltemi.suffix" . }}
{{- end -}}
