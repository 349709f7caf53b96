/** What spans say of gRPC, in Envoy's words. */
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { isGrpcType } from "../http/rescue.ts";

interface Tagged {
  setTag(name: string, value: string): void;
}

export function tagGrpcRequest(span: Tagged, { path, authority, headers }: HttpRequest): void {
  const type = headers.get("content-type");
  if (type === undefined || !isGrpcType(type)) return;
  span.setTag("grpc.path", path);
  span.setTag("grpc.authority", authority);
  span.setTag("grpc.content_type", type);
  const timeout = headers.get("grpc-timeout");
  if (timeout !== undefined) span.setTag("grpc.timeout", timeout);
}

/** Statuses that tell of a fault of the server: all others are the caller's doing. */
const serverErrors = new Set(["2", "4", "8", "12", "13", "14", "15"]);

/** Of an answer's headers or trailers. The request does not have to be of gRPC. */
export function tagGrpcResponse(span: Tagged, headers: HeaderList | undefined): void {
  const status = headers?.get("grpc-status");
  const message = headers?.get("grpc-message");
  if (status !== undefined) span.setTag("grpc.status_code", status);
  if (message !== undefined) span.setTag("grpc.message", message);
  if (status !== undefined && serverErrors.has(status)) span.setTag("error", "true");
}
