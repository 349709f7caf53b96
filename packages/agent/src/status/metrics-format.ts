/**
 * Formats of metrics: which of them a source may answer with, what it did answer with, and how parts are put together.
 * Envoy's part is always plain text, so that the whole is only OpenMetrics where the application's part is.
 */

export const plainText = "text/plain; version=0.0.4; charset=utf-8";
const openMetricsType = "application/openmetrics-text";

const oldest: Readonly<Record<string, string>> = {
  "text/plain": "text/plain;version=0.0.4",
  [openMetricsType]: "application/openmetrics-text;version=0.0.1",
};

/**
 * The header Accept for a source, from that of Prometheus: ranges stand for the oldest format of theirs, formats that
 * cannot be merged are left out.
 */
export function filterAccept(accept: string | undefined, takesOpenMetrics: boolean): string {
  const allowed = takesOpenMetrics ? ["text/plain", openMetricsType] : ["text/plain"];
  const wanted = (accept ?? "").split(",").flatMap((part) => {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim());
    const name = type.toLowerCase();
    if (name === "*/*" || name === "*" || name === "text/*") return [oldest["text/plain"] ?? ""];
    if (name === "application/*") return takesOpenMetrics ? [oldest[openMetricsType] ?? ""] : [];
    const kept = parameters.filter((parameter) => !/^q\s*=/i.test(parameter));
    return allowed.includes(name) ? [[name, ...kept].join(";")] : [];
  });
  const formats = [...new Set(wanted)].slice(0, 9);
  if (formats.length === 0) return oldest["text/plain"] ?? "";
  return formats.map((format, index) => `${format};q=0.${formats.length - index}`).join(",");
}

/** The content type of the merged page, from that of a part. */
export function findFormat(contentType: string | undefined): string {
  const [type = "", ...parameters] = (contentType ?? "").split(";").map((piece) => piece.trim().toLowerCase());
  if (type !== openMetricsType) return plainText;
  const version = parameters.find((parameter) => parameter.startsWith("version="))?.slice("version=".length);
  return version === "1.0.0" || version === "0.0.1" || version === undefined
    ? `${openMetricsType}; version=${version ?? "0.0.1"}; charset=utf-8`
    : plainText;
}

export const isOpenMetrics = (format: string): boolean => format.startsWith(openMetricsType);

/** True for a line that Prometheus can read, by its shape: a comment, or a name, labels and a value. */
const samplePattern = /^(?:#.*|\s*|[a-zA-Z_:][a-zA-Z0-9_:]*(?:\s*\{.*\})?\s+\S.*|\{.*\}\s+\S.*)\r?$/;

/** True where each line is one of metrics: a page of something else would make Prometheus refuse the whole. */
export function isMetricsText(text: string): boolean {
  return text.split("\n").every((line) => samplePattern.test(line));
}

/** Metrics that end with a line's end, without the mark at the end of OpenMetrics. */
export function trimMetrics(text: string): string {
  const body = text.replace(/(^|\n)# EOF\s*$/, "$1");
  return body === "" || body.endsWith("\n") ? body : `${body}\n`;
}
