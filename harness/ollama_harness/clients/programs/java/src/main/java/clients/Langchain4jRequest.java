package clients;

import com.fasterxml.jackson.databind.JsonNode;
import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ResponseFormat;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import dev.langchain4j.model.chat.request.json.JsonRawSchema;
import dev.langchain4j.model.chat.request.json.JsonSchema;
import dev.langchain4j.model.ollama.OllamaChatRequestParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.StreamSupport;

/** A recorded request in the types of langchain4j, if they have a place for all of it. */
final class Langchain4jRequest {
    private Langchain4jRequest() {}

    static ChatRequest of(Job job) {
        var body = job.request().json();
        if (!job.request().headers().isEmpty() || !job.request().hasJson() || !body.isObject()) {
            throw new Client.Unsupported("it sends only JSON objects, without headers");
        }
        var messages = new ArrayList<ChatMessage>();
        body.path("messages").forEach(message -> messages.add(message(message)));
        if (messages.isEmpty()) {
            throw new Client.Unsupported("it refuses a request without messages before it sends anything");
        }
        return ChatRequest.builder().messages(messages).parameters(parameters(body)).build();
    }

    private static OllamaChatRequestParameters parameters(JsonNode body) {
        var builder = OllamaChatRequestParameters.builder();
        body.fields().forEachRemaining(field -> {
            var value = field.getValue();
            switch (field.getKey()) {
                case "messages", "stream" -> {}
                case "model" -> builder.modelName(text(value, "model"));
                case "tools" -> builder.toolSpecifications(tools(value));
                case "format" -> builder.responseFormat(format(value));
                case "keep_alive" -> builder.keepAlive(whole(value, "keep_alive"));
                case "think" -> builder.think(isTrue(value, "think"));
                case "options" -> value.fields().forEachRemaining(one -> option(builder, one.getKey(), one.getValue()));
                default -> throw unknown(field.getKey());
            }
        });
        return builder.build();
    }

    private static void option(OllamaChatRequestParameters.Builder builder, String name, JsonNode value) {
        switch (name) {
            case "temperature" -> builder.temperature(number(value, name));
            case "top_p" -> builder.topP(number(value, name));
            case "min_p" -> builder.minP(number(value, name));
            case "mirostat_eta" -> builder.mirostatEta(number(value, name));
            case "mirostat_tau" -> builder.mirostatTau(number(value, name));
            case "repeat_penalty" -> builder.repeatPenalty(number(value, name));
            case "top_k" -> builder.topK(whole(value, name));
            case "num_predict" -> builder.maxOutputTokens(whole(value, name));
            case "num_ctx" -> builder.numCtx(whole(value, name));
            case "mirostat" -> builder.mirostat(whole(value, name));
            case "repeat_last_n" -> builder.repeatLastN(whole(value, name));
            case "seed" -> builder.seed(whole(value, name));
            case "stop" -> builder.stopSequences(texts(value));
            default -> throw unknown(name);
        }
    }

    private static ChatMessage message(JsonNode message) {
        message.fieldNames().forEachRemaining(name -> {
            if (!List.of("role", "content", "images", "tool_calls", "tool_name").contains(name)) {
                throw unknown("messages." + name);
            }
        });
        var text = message.path("content").asText();
        return switch (message.path("role").asText()) {
            case "system" -> SystemMessage.from(text);
            case "user" -> user(text, message.path("images"));
            case "assistant" -> AiMessage.builder()
                    .text(text)
                    .toolExecutionRequests(calls(message.path("tool_calls")))
                    .build();
            case "tool" -> ToolExecutionResultMessage.from(null, message.path("tool_name").asText(), text);
            default -> throw unknown("role " + message.path("role"));
        };
    }

    private static UserMessage user(String text, JsonNode images) {
        var contents = new ArrayList<Content>(List.of(TextContent.from(text)));
        images.forEach(image -> contents.add(ImageContent.from(image.asText(), "image/png")));
        return UserMessage.from(contents);
    }

    private static List<ToolExecutionRequest> calls(JsonNode calls) {
        return StreamSupport.stream(calls.spliterator(), false)
                .map(call -> call.path("function"))
                .map(function -> ToolExecutionRequest.builder()
                        .name(function.path("name").asText())
                        .arguments(function.path("arguments").toString())
                        .build())
                .toList();
    }

    private static List<ToolSpecification> tools(JsonNode tools) {
        return StreamSupport.stream(tools.spliterator(), false)
                .map(tool -> tool.path("function"))
                .map(function -> ToolSpecification.builder()
                        .name(function.path("name").asText())
                        .description(function.path("description").asText())
                        .parameters(schema(function.path("parameters")))
                        .build())
                .toList();
    }

    private static JsonObjectSchema schema(JsonNode parameters) {
        var builder = JsonObjectSchema.builder().required(texts(parameters.path("required")));
        parameters.path("properties").fields().forEachRemaining(
                one -> builder.addProperty(one.getKey(), JsonRawSchema.from(one.getValue().toString())));
        return builder.build();
    }

    private static ResponseFormat format(JsonNode format) {
        if (format.isObject()) {
            var schema = JsonSchema.builder().name("answer").rootElement(JsonRawSchema.from(format.toString()));
            return ResponseFormat.builder().type(ResponseFormatType.JSON).jsonSchema(schema.build()).build();
        }
        if (format.asText().equals("json")) {
            return ResponseFormat.JSON;
        }
        throw unknown("format " + format);
    }

    private static String text(JsonNode value, String name) {
        if (!value.isTextual() || value.asText().isBlank()) {
            throw unknown(name + " " + value);
        }
        return value.asText();
    }

    private static int whole(JsonNode value, String name) {
        if (!value.isInt()) {
            throw unknown(name + " " + value);
        }
        return value.intValue();
    }

    private static double number(JsonNode value, String name) {
        if (!value.isNumber()) {
            throw unknown(name + " " + value);
        }
        return value.doubleValue();
    }

    private static boolean isTrue(JsonNode value, String name) {
        if (!value.isBoolean()) {
            throw unknown(name + " " + value);
        }
        return value.booleanValue();
    }

    private static List<String> texts(JsonNode values) {
        return StreamSupport.stream(values.spliterator(), false).map(JsonNode::asText).toList();
    }

    private static Client.Unsupported unknown(String what) {
        return new Client.Unsupported("its types have no " + what);
    }
}
