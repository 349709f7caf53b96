import { expect, it } from "vitest";
import { formatHeaderValue } from "./header-value.ts";

it.each([
  ["plain", "plain"],
  ["a%b", "a%%b"],
  ["100%", "100%%"],
  ["100%%", "100%%"],
  ["%DOWNSTREAM_REMOTE_ADDRESS%", "%DOWNSTREAM_REMOTE_ADDRESS%"],
  ["%REQ(x-a?x-b):10%;%RESPONSE_CODE%", "%REQ(x-a?x-b):10%;%RESPONSE_CODE%"],
  ["%START_TIME(%Y/%m/%dT%H:%M:%S%z)%", "%START_TIME(%Y/%m/%dT%H:%M:%S%z)%"],
  ["%START_TIME(%s):2%", "%%START_TIME(%%s):2%%"],
  ["%QUERY_PARAM(q)% %GRPC_STATUS(NUMBER)%", "%QUERY_PARAM(q)% %GRPC_STATUS(NUMBER)%"],
  ["%GRPC_STATUS(LOUD)%", "%%GRPC_STATUS(LOUD)%%"],
  ["%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"],
  ["%REQ%", "%%REQ%%"],
  ["%ROUTE_NAME:5%", "%%ROUTE_NAME:5%%"],
  ["%REQ(a?b?c)%", "%%REQ(a?b?c)%%"],
  ["%NOT_A_COMMAND%", "%%NOT_A_COMMAND%%"],
  ["50% of %ROUTE_NAME%", "50%% of %ROUTE_NAME%"],
])("a header's value %s goes out as %s", (value, expected) => expect(formatHeaderValue(value)).toBe(expected));
