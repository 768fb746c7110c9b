"""Names of OpenTelemetry's semantic conventions (messaging, v1.44) and our own, in one place.

They are repeated here because the conventions' package is no dependency of an agent process.
"""

from typing import Final

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION_NAME: Final = "messaging.destination.name"
DESTINATION_PARTITION_ID: Final = "messaging.destination.partition.id"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION_ID: Final = "messaging.message.conversation_id"
BODY_SIZE: Final = "messaging.message.body.size"
BATCH_MESSAGE_COUNT: Final = "messaging.batch.message_count"
CONSUMER_GROUP_NAME: Final = "messaging.consumer.group.name"
CLIENT_ID: Final = "messaging.client.id"
ERROR_TYPE: Final = "error.type"

# Conventions for MCP (gen-ai, tag v1.41.0).
MCP_METHOD_NAME: Final = "mcp.method.name"
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
MCP_TOOLS_CALL: Final = "tools/call"
EXECUTE_TOOL: Final = "execute_tool"
INFER: Final = (
    "infer"  # Ours: the conventions know no name for a call of a model that is not generative.
)
TOOL_ERROR: Final = "tool_error"  # error.type when the result says isError

# Conventions for RPC (v1.37).
RPC_SYSTEM: Final = "rpc.system"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"
RPC_GRPC_STATUS_CODE: Final = "rpc.grpc.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
RPC_GRPC: Final = "grpc"

# Ours: what the conventions have no name for.
OFFSET: Final = "messaging.bellwire.offset"
MESSAGE_TYPE: Final = "messaging.bellwire.message.type"
EVENT_TIME: Final = "messaging.bellwire.message.time_unix_nano"
CALL_ID: Final = "messaging.bellwire.call.id"
LANE: Final = "messaging.bellwire.lane"
LANE_DIRECT: Final = "direct"
ATTEMPT: Final = "messaging.bellwire.delivery.attempt"
CACHE_LEVEL: Final = "messaging.bellwire.cache.level"

SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
PROCESS_PID: Final = "process.pid"

SYSTEM_BELLWIRE: Final = "bellwire"

# Values of messaging.operation.name; each is also the first word of the span's name.
SEND: Final = "send"
PROCESS: Final = "process"
ROUTE: Final = "route"
