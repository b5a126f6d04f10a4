"""Models of the Llama, Qwen, Mistral and Gemma families in the files of Hugging Face, in and out.

settings       config.json, read with care
llama, qwen, gemma     what each family writes into it, and what that means here; Mistral is beside Llama
family         which families there are, and which one can express a shape
names          what each weight is called there, and of which parts ours are made
pickles        files that could run code, known by their content
reading, writing       whole folders
tokenizer_folder       the files of a tokenizer
"""
