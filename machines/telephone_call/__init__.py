"""The telephone call: from dialling, or from an incoming call, to its one outcome.

It is coupled to the conversation by facts only. When the media stream opens, a conversation begins
(`BeginConversation`). When the conversation ends, the call is hung up, or transferred to a person
(`TransferCall`). When the carrier ends the call, or somebody wants it ended, the conversation is ended first
(`EndConversation`). The facts and effects are declared here, beside the chart, since no conversation machine
uses them.
"""
