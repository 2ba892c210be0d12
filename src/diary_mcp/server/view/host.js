// The host, by JSON-RPC 2.0 over postMessage: MCP Apps, version 2026-01-26.

const PROTOCOL_VERSION = "2026-01-26";
const METHOD_NOT_FOUND = -32601;

/** The host, once it has answered; `hear` holds what is to happen at each of its notifications. */
async function connectToHost(hear) {
  const waiting = new Map();
  let lastId = 0;

  const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const notify = (method, params = {}) => post({ method, params });
  const request = (method, params) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      post({ id: lastId, method, params });
    });

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") {
      settle(data);
    } else if (data.id === undefined) {
      if (Object.hasOwn(hear, data.method)) hear[data.method](data.params ?? {});
    } else if (data.method === "ping" || data.method === "ui/resource-teardown") {
      post({ id: data.id, result: {} });
    } else {
      post({ id: data.id, error: { code: METHOD_NOT_FOUND, message: "The view has no such method." } });
    }
  });

  function settle({ id, result, error }) {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result ?? {});
    else asked?.reject(new Error(error?.message || "The host refused."));
  }

  const { hostCapabilities, hostContext } = await request("ui/initialize", {
    protocolVersion: PROTOCOL_VERSION,
    appInfo: { name: "diary-mcp", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  });
  notify("ui/notifications/initialized");
  return {
    context: hostContext ?? {},
    canCallTools: Boolean(hostCapabilities?.serverTools),
    canOpenLinks: Boolean(hostCapabilities?.openLinks),
    callTool: (name, given) => request("tools/call", { name, arguments: given }),
    openLink: (url) => request("ui/open-link", { url }),
    tellHeight: (height) => notify("ui/notifications/size-changed", { height }),
  };
}
