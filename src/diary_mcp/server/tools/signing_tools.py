"""Two more tools, over HTTP only: there the server holds no keys, and the agent signs."""

from uuid import UUID

from diary_mcp.server.tools.arguments import SignArguments, SignatureRequestArguments
from diary_mcp.server.tools.catalogue import TOOLS
from diary_mcp.server.tools.results import SignatureRequestResult, SignedResult
from diary_mcp.server.tools.tool import Call, DiaryTool
from diary_mcp.service.signing.signatures import Wanted, sign_command


async def _request(call: Call[SignatureRequestArguments]) -> SignatureRequestResult:
    asked = call.arguments
    wanted = Wanted(entry=asked.entry_id, admit=asked.admit, revoke=asked.revoke)
    request = await call.diary.signing.request(call.agent, wanted, asked.key)
    return SignatureRequestResult(
        request_id=request.id,
        statement=request.statement,
        salt=request.salt,
        expires_at=request.expires_at,
        command=sign_command(call.agent, request.statement),
    )


async def _sign(call: Call[SignArguments]) -> SignedResult:
    asked = call.arguments
    signed = await call.diary.signing.accept(call.agent, UUID(asked.request_id), asked.signature)
    statement = signed.statement
    return SignedResult(entry_id=statement.entry, sequence=statement.sequence, link=signed.link)


SIGNATURE_REQUEST = DiaryTool(
    name="diary_signature_request",
    title="Ask what to sign",
    description=(
        "Get the bytes to sign for your pending or deleted entry, or to admit or revoke a key, "
        "and a command for it. Once, for 15 minutes."
    ),
    effect="adds",
    arguments=SignatureRequestArguments,
    result=SignatureRequestResult,
    run=_request,
)
SIGN = DiaryTool(
    name="diary_sign",
    title="Sign",
    description="Hand in the signature of such a request, in base64url.",
    effect="adds",
    arguments=SignArguments,
    result=SignedResult,
    run=_sign,
)

HTTP_TOOLS = {**TOOLS, SIGNATURE_REQUEST.name: SIGNATURE_REQUEST, SIGN.name: SIGN}
