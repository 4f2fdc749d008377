/* SPDX-License-Identifier: MIT */
/* Made by make_signatures.py. */
#ifndef PH_SIGNATURES_H
#define PH_SIGNATURES_H

#define SIGNED_MESSAGE                                                                             \
	"certificate version 0.1\n"                                                                \
	"pusher somebody 1700000000 +0000\n"                                                       \
	"\n"                                                                                       \
	"the message\n"

#define ED25519_FINGERPRINT "SHA256:tTktxh3c5wJSvRuqwG8qbbJzoyaGv4rA2EvDZhtW4XI"

static const struct {
	const char *name, *key, *text;
} signatures[] = {
        {"ed25519 sha512",
         "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJyUeFjtcq2uWZpTa1csKQvS2VO6GByG/a97z3GQNj5L",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgnJR4WO1yra5ZmlNrVywpC9LZU7\n"
         "oYHIb9r3vPcZA2PksAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5\n"
         "AAAAQGEnkr00Q+DgF1m/MD/8ha966152QmVQYs/LAxpaHNNsEuetA1C9o9dGPwBTOAo9yv\n"
         "a5lXjtEz+Dq8QtvJk5VQ8=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"ed25519 sha256",
         "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJyUeFjtcq2uWZpTa1csKQvS2VO6GByG/a97z3GQNj5L",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgnJR4WO1yra5ZmlNrVywpC9LZU7\n"
         "oYHIb9r3vPcZA2PksAAAADZ2l0AAAAAAAAAAZzaGEyNTYAAABTAAAAC3NzaC1lZDI1NTE5\n"
         "AAAAQHSUV9ktQFqng43d/UBj8WCihSYgmBeIjj+WVQDa/08e/I49NBdwFhVqVz9cgCQWKr\n"
         "KPLrhwL3NvbQdaLJCdWw8=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p256 sha512",
         "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBB33m9n4"
         "i52nElX3qxgrC0/30pRUc3Nanuh+0dhv1FXXeFeRzO7Wjel9as1mrdvjnkCvxW7TaspgX3GkQqjYm5I=",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE\n"
         "EEHfeb2fiLnacSVferGCsLT/fSlFRzc1qe6H7R2G/UVdd4V5HM7taN6X1qzWat2+OeQK/F\n"
         "btNqymBfcaRCqNibkgAAAANnaXQAAAAAAAAABnNoYTUxMgAAAGUAAAATZWNkc2Etc2hhMi\n"
         "1uaXN0cDI1NgAAAEoAAAAhAMfCQPAd6FlTM6ZJbJ69IV4cWDVgl7S5Pby/RHwPr22LAAAA\n"
         "IQCyqIYWVnUQuTncm9h6ISq/anE+nTAuiE5ycPm/ekUX9A==\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p256 sha256",
         "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBB33m9n4"
         "i52nElX3qxgrC0/30pRUc3Nanuh+0dhv1FXXeFeRzO7Wjel9as1mrdvjnkCvxW7TaspgX3GkQqjYm5I=",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE\n"
         "EEHfeb2fiLnacSVferGCsLT/fSlFRzc1qe6H7R2G/UVdd4V5HM7taN6X1qzWat2+OeQK/F\n"
         "btNqymBfcaRCqNibkgAAAANnaXQAAAAAAAAABnNoYTI1NgAAAGUAAAATZWNkc2Etc2hhMi\n"
         "1uaXN0cDI1NgAAAEoAAAAhAPQw5j8LGx3Jl2AKS43fHb21l3putfQwJ0dwmU7Aur7sAAAA\n"
         "IQCP8o7pPYKxG7IJFf2lKOTpYwH9lFhYGvnoJnd40ZEo2w==\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p384 sha512",
         "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBEeLZCKe"
         "Wg6MClurNB2r2DO0XKMBhMzhHEGfFKXfog56ezTy4hYO00Gp5hLvBhZapJI0x1Edd+TGrNRRQBlsLuVG"
         "A5QErWDR7rl6j1vkiOugq0UQV2tNvyma3SFTIl1QDw==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAIgAAAATZWNkc2Etc2hhMi1uaXN0cDM4NAAAAAhuaXN0cDM4NAAAAG\n"
         "EER4tkIp5aDowKW6s0HavYM7RcowGEzOEcQZ8Upd+iDnp7NPLiFg7TQanmEu8GFlqkkjTH\n"
         "UR135Mas1FFAGWwu5UYDlAStYNHuuXqPW+SI66CrRRBXa02/KZrdIVMiXVAPAAAAA2dpdA\n"
         "AAAAAAAAAGc2hhNTEyAAAAhQAAABNlY2RzYS1zaGEyLW5pc3RwMzg0AAAAagAAADEA7F/b\n"
         "hhRIvUHjyize+oVOVOnftUkjbAC7BRsR0m+Ptq3GIgeVcHtzflfILrBFNrPxAAAAMQC0Bp\n"
         "AIKrF6yszldzg67G/AOx/kTw0FDvPIjSdrjg5HhBlrEM7D/yhT+CthzM/iJ54=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p384 sha256",
         "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBEeLZCKe"
         "Wg6MClurNB2r2DO0XKMBhMzhHEGfFKXfog56ezTy4hYO00Gp5hLvBhZapJI0x1Edd+TGrNRRQBlsLuVG"
         "A5QErWDR7rl6j1vkiOugq0UQV2tNvyma3SFTIl1QDw==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAIgAAAATZWNkc2Etc2hhMi1uaXN0cDM4NAAAAAhuaXN0cDM4NAAAAG\n"
         "EER4tkIp5aDowKW6s0HavYM7RcowGEzOEcQZ8Upd+iDnp7NPLiFg7TQanmEu8GFlqkkjTH\n"
         "UR135Mas1FFAGWwu5UYDlAStYNHuuXqPW+SI66CrRRBXa02/KZrdIVMiXVAPAAAAA2dpdA\n"
         "AAAAAAAAAGc2hhMjU2AAAAhAAAABNlY2RzYS1zaGEyLW5pc3RwMzg0AAAAaQAAADEA7ojL\n"
         "5w/WkqB6zrP7UxHjETPTNAvIPWpuBNFqomrRNri1yFF96UjvzZ/Oat2unmBYAAAAMHFlyw\n"
         "KV6NygoCNMIZeQwcbShYDk0cJ57XObqwQGVCf/Te6V+n1qJP+vz1OT+jSvwA==\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p521 sha512",
         "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAG9fgAW"
         "hH6Llj5xev1oQ4ycYivRVdAnsdZENfee4HQQamDqnofMbEk0dVAq2xE+KZpdk7aHHCqfa1SpbBszWr/d"
         "+wFIumjmS6/ABiglAA2GwFpj/Auta2vy90nbX1fR84BenHvsZj3bRSPK79oNiufSHtIcSJ413fcJOZz0"
         "mV5iE0dD3A==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAKwAAAATZWNkc2Etc2hhMi1uaXN0cDUyMQAAAAhuaXN0cDUyMQAAAI\n"
         "UEAb1+ABaEfouWPnF6/WhDjJxiK9FV0Cex1kQ1957gdBBqYOqeh8xsSTR1UCrbET4pml2T\n"
         "toccKp9rVKlsGzNav937AUi6aOZLr8AGKCUADYbAWmP8C61ra/L3SdtfV9HzgF6ce+xmPd\n"
         "tFI8rv2g2K59Ie0hxInjXd9wk5nPSZXmITR0PcAAAAA2dpdAAAAAAAAAAGc2hhNTEyAAAA\n"
         "pgAAABNlY2RzYS1zaGEyLW5pc3RwNTIxAAAAiwAAAEIBtKDhXnCw3E3XDc64eaVArY4fSf\n"
         "vRhKvUMi1HI0vFpbsmOj5n+fHmpObBFFBLiyqt5VzNH9LdUc6frAlGB4tZCc4AAABBBLYt\n"
         "PH3sYYbb3+/oARRiyMIJeeilcefrC6+1a587pasnvakHSWrLbxcE9fQdpVJm3JGSg4XcDZ\n"
         "9ezR+cQJL2HJs=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"p521 sha256",
         "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAG9fgAW"
         "hH6Llj5xev1oQ4ycYivRVdAnsdZENfee4HQQamDqnofMbEk0dVAq2xE+KZpdk7aHHCqfa1SpbBszWr/d"
         "+wFIumjmS6/ABiglAA2GwFpj/Auta2vy90nbX1fR84BenHvsZj3bRSPK79oNiufSHtIcSJ413fcJOZz0"
         "mV5iE0dD3A==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAKwAAAATZWNkc2Etc2hhMi1uaXN0cDUyMQAAAAhuaXN0cDUyMQAAAI\n"
         "UEAb1+ABaEfouWPnF6/WhDjJxiK9FV0Cex1kQ1957gdBBqYOqeh8xsSTR1UCrbET4pml2T\n"
         "toccKp9rVKlsGzNav937AUi6aOZLr8AGKCUADYbAWmP8C61ra/L3SdtfV9HzgF6ce+xmPd\n"
         "tFI8rv2g2K59Ie0hxInjXd9wk5nPSZXmITR0PcAAAAA2dpdAAAAAAAAAAGc2hhMjU2AAAA\n"
         "pgAAABNlY2RzYS1zaGEyLW5pc3RwNTIxAAAAiwAAAEFqbz44Eho+fOL1ZukH02e7xFVntz\n"
         "A4QImQ3OApnF1fPYJUYsfFxM6+AEDWAjDwrmiug77dLAJ61lhHAzkilCOdvwAAAEIA8AHQ\n"
         "Ca/0zN7IUMCpDKQt1HuvLrQViwUw5LTpCQ16zBvG6rFlq1eQ0Y7UeDmzsb08Lyul9qFGyx\n"
         "4AO9PF7n04YR4=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa2048 sha512",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCgZy9Zi5ZNIw8wbFCQXO3WVLABPgeA0VGslqZKPY9W"
         "OlqprW4PeEiDM8eZKX2bI3Qp/lSpOp/cjSGGZx4qcvKGXKWtFC7qDXca+eworqa7rH9wqNg1NDfTFhhl"
         "eI/Quzitv+SkAeM/IUHU/6RJv8WMifr6h0/AxusMt7BzPrlun42BgcC1xzGRV7GG/oGbd661z/IQD80c"
         "o1aSwNuSArj2OJ0/0ED0dGINcSsVemHGGex+Bb2LCIfNqL+2+BTbwkVdXLUxGfveyi0HX4EbNwJiTVGM"
         "/XTW3mAG/oGaHeSxebbBqAQYhWhNQkwMjRMgiapzzoairkBb25TXasM1Pz6j",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAKBnL1mLlk0jDzBsUJBc7d\n"
         "ZUsAE+B4DRUayWpko9j1Y6Wqmtbg94SIMzx5kpfZsjdCn+VKk6n9yNIYZnHipy8oZcpa0U\n"
         "LuoNdxr57Ciuprusf3Co2DU0N9MWGGV4j9C7OK2/5KQB4z8hQdT/pEm/xYyJ+vqHT8DG6w\n"
         "y3sHM+uW6fjYGBwLXHMZFXsYb+gZt3rrXP8hAPzRyjVpLA25ICuPY4nT/QQPR0Yg1xKxV6\n"
         "YcYZ7H4FvYsIh82ov7b4FNvCRV1ctTEZ+97KLQdfgRs3AmJNUYz9dNbeYAb+gZod5LF5ts\n"
         "GoBBiFaE1CTAyNEyCJqnPOhqKuQFvblNdqwzU/PqMAAAADZ2l0AAAAAAAAAAZzaGE1MTIA\n"
         "AAEUAAAADHJzYS1zaGEyLTUxMgAAAQAenHGgpz8ppsus4zugKr04l9fV8zlWbwSReEaSk/\n"
         "ijRE7U6dHUTbcRBXGdxlpianXiXSqC1uhrjApmye4zuRuNqfgMVueAuFxLMhcWO6HjG+y/\n"
         "jqnqgrsfa6SoNw9ZWWNjk12q/884fvLjyBOuBZgiE8HYQgmGXUMqotqLFmSu1NDAgnfGST\n"
         "W87L+i3S6VPYQNavEdGJdSUS+zqIgXYCF+qcV2WK61n2rufT67L4M86CmWT7j5AZ9V5Njk\n"
         "futyfeBCW29oOimKHEqWawYF6C2bGvhusxFspGpAmUzs64eGvE0r0w2KTvKfOw4d/BSgsc\n"
         "akvWkVTq7JOLmAulP/JrI4\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa2048 sha256",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCgZy9Zi5ZNIw8wbFCQXO3WVLABPgeA0VGslqZKPY9W"
         "OlqprW4PeEiDM8eZKX2bI3Qp/lSpOp/cjSGGZx4qcvKGXKWtFC7qDXca+eworqa7rH9wqNg1NDfTFhhl"
         "eI/Quzitv+SkAeM/IUHU/6RJv8WMifr6h0/AxusMt7BzPrlun42BgcC1xzGRV7GG/oGbd661z/IQD80c"
         "o1aSwNuSArj2OJ0/0ED0dGINcSsVemHGGex+Bb2LCIfNqL+2+BTbwkVdXLUxGfveyi0HX4EbNwJiTVGM"
         "/XTW3mAG/oGaHeSxebbBqAQYhWhNQkwMjRMgiapzzoairkBb25TXasM1Pz6j",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAARcAAAAHc3NoLXJzYQAAAAMBAAEAAAEBAKBnL1mLlk0jDzBsUJBc7d\n"
         "ZUsAE+B4DRUayWpko9j1Y6Wqmtbg94SIMzx5kpfZsjdCn+VKk6n9yNIYZnHipy8oZcpa0U\n"
         "LuoNdxr57Ciuprusf3Co2DU0N9MWGGV4j9C7OK2/5KQB4z8hQdT/pEm/xYyJ+vqHT8DG6w\n"
         "y3sHM+uW6fjYGBwLXHMZFXsYb+gZt3rrXP8hAPzRyjVpLA25ICuPY4nT/QQPR0Yg1xKxV6\n"
         "YcYZ7H4FvYsIh82ov7b4FNvCRV1ctTEZ+97KLQdfgRs3AmJNUYz9dNbeYAb+gZod5LF5ts\n"
         "GoBBiFaE1CTAyNEyCJqnPOhqKuQFvblNdqwzU/PqMAAAADZ2l0AAAAAAAAAAZzaGEyNTYA\n"
         "AAEUAAAADHJzYS1zaGEyLTUxMgAAAQBw2uotpNucVgb56KM1uebJl54bW9eg/bAnS/74fP\n"
         "vWC3QT9jGT6MFrWuRcFrfRjc3K/jzzNnRjDlm8RUUafB3OJDhNqWqDPpv0j9YO909lfN6u\n"
         "IiSbBqhIvSdj5OlZwHG/IY18pbmCJFmkvn3+xn5aIbipqEzLdpo8X3s14W5fO7lZD0v7fR\n"
         "RScFMFF2QtyjivlS+6Ov7iiFU2uNpLCBauoLC04iz34u7Myte6C6to1UPWn+lnzxSfF8Xu\n"
         "XgT0EvdbdsFfVE+eaX7JmnwNa6VD6br+F+z5wws0JpQDULqi4ZsugqDdNNvRLjt2FkwH+3\n"
         "8JtEFnRs3Petr4UuRYiCBN\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa3072 sha512",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDf8xAtATVnMIBefrC3eDXbskmIOi9tcJxtNy8nh2Nq"
         "AudghEFSa8qirBrYIoUnusVOkeUC+5lg8Aue919IEQHg6r/I7JmuqA7wCBSHpwaIS1kF/0BmjFxgmn68"
         "kGBcZiM8MOZa3xOd2MAuLcrEWzudhkdAjyGf19OkiZN2sV0HUL8xwqCh9wzPgR5R3Sq07QxEtSV8wWSa"
         "OTSH5YUwBOXucmRyx+RXt5atLyTCN1/+AyfzqYzNkgZ+K1rT5R75KI2ac38Lgpjm/xf37UVz2LQRoE29"
         "er9ms3SOdv/TmlK+4WYVPrFvYDnZ5F1tBdyN8dWwPuJDyHXcZ+s9jeK9NXsb0LX4jCWcV8IR7fL6izY0"
         "4xue3fhlR69qnmHcqtHU6NLIgvqSsLTO6Lr/UmxqbbI3AbgJwdDfxVgIIbl9iWIYB3cUVnyLCfn+I7U1"
         "Z1mVoemva1AwjfcYs6Uf2oEsuwz7siRHb1r81evho/49lZoIX5e9FYQPFQwY2FiIKHvuUUc=",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAZcAAAAHc3NoLXJzYQAAAAMBAAEAAAGBAN/zEC0BNWcwgF5+sLd4Nd\n"
         "uySYg6L21wnG03LyeHY2oC52CEQVJryqKsGtgihSe6xU6R5QL7mWDwC573X0gRAeDqv8js\n"
         "ma6oDvAIFIenBohLWQX/QGaMXGCafryQYFxmIzww5lrfE53YwC4tysRbO52GR0CPIZ/X06\n"
         "SJk3axXQdQvzHCoKH3DM+BHlHdKrTtDES1JXzBZJo5NIflhTAE5e5yZHLH5Fe3lq0vJMI3\n"
         "X/4DJ/OpjM2SBn4rWtPlHvkojZpzfwuCmOb/F/ftRXPYtBGgTb16v2azdI52/9OaUr7hZh\n"
         "U+sW9gOdnkXW0F3I3x1bA+4kPIddxn6z2N4r01exvQtfiMJZxXwhHt8vqLNjTjG57d+GVH\n"
         "r2qeYdyq0dTo0siC+pKwtM7ouv9SbGptsjcBuAnB0N/FWAghuX2JYhgHdxRWfIsJ+f4jtT\n"
         "VnWZWh6a9rUDCN9xizpR/agSy7DPuyJEdvWvzV6+Gj/j2Vmghfl70VhA8VDBjYWIgoe+5R\n"
         "RwAAAANnaXQAAAAAAAAABnNoYTUxMgAAAZQAAAAMcnNhLXNoYTItNTEyAAABgJmAA8T6rS\n"
         "4Z+UEos8XZNn89gGO6L+cKSH/jBnvnqsOEaHs1FXakko2Novr2mqIK8pAirNiScICm8Iq1\n"
         "xQuASB61ePo3YMEGeGSD3hj31aMZbu7Bhy5JHgYQKnApotbggECPBlkRYNWgwohkLr1ks1\n"
         "gzlVGOHyjF4atMqY87B1TEcidxMELt/y2UX+A+VFqlyBEBhSEeAI0644wYGlnRkIAEKLIL\n"
         "/yR4uUSFa1tDwTfXJLyQtNzKNMecGGjfhUVSmVbFG7AbmrLMrREHEap4GDcvQ7ckbWQWCp\n"
         "idc8Arn231TMqhamDzc7DYGN3maqthtbugAe8GxR4lucibsFEtno4tRS0PoxxfV1n2mbUX\n"
         "bRULUVN5Ke/x7GIzM5cVSxnnBHDIr/nxO8+YB0xdc+HsFYygNqoQ9dGEAOrCVthHhFtybR\n"
         "XWQyMU8ZUe6qnZZo7a3zkCKgUZ624ASyGMB2KWOqVMCbSF8ixJjt/lWMs0u95cjkVR+HHu\n"
         "IkT/zTfcwIxtDA==\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa3072 sha256",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDf8xAtATVnMIBefrC3eDXbskmIOi9tcJxtNy8nh2Nq"
         "AudghEFSa8qirBrYIoUnusVOkeUC+5lg8Aue919IEQHg6r/I7JmuqA7wCBSHpwaIS1kF/0BmjFxgmn68"
         "kGBcZiM8MOZa3xOd2MAuLcrEWzudhkdAjyGf19OkiZN2sV0HUL8xwqCh9wzPgR5R3Sq07QxEtSV8wWSa"
         "OTSH5YUwBOXucmRyx+RXt5atLyTCN1/+AyfzqYzNkgZ+K1rT5R75KI2ac38Lgpjm/xf37UVz2LQRoE29"
         "er9ms3SOdv/TmlK+4WYVPrFvYDnZ5F1tBdyN8dWwPuJDyHXcZ+s9jeK9NXsb0LX4jCWcV8IR7fL6izY0"
         "4xue3fhlR69qnmHcqtHU6NLIgvqSsLTO6Lr/UmxqbbI3AbgJwdDfxVgIIbl9iWIYB3cUVnyLCfn+I7U1"
         "Z1mVoemva1AwjfcYs6Uf2oEsuwz7siRHb1r81evho/49lZoIX5e9FYQPFQwY2FiIKHvuUUc=",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAZcAAAAHc3NoLXJzYQAAAAMBAAEAAAGBAN/zEC0BNWcwgF5+sLd4Nd\n"
         "uySYg6L21wnG03LyeHY2oC52CEQVJryqKsGtgihSe6xU6R5QL7mWDwC573X0gRAeDqv8js\n"
         "ma6oDvAIFIenBohLWQX/QGaMXGCafryQYFxmIzww5lrfE53YwC4tysRbO52GR0CPIZ/X06\n"
         "SJk3axXQdQvzHCoKH3DM+BHlHdKrTtDES1JXzBZJo5NIflhTAE5e5yZHLH5Fe3lq0vJMI3\n"
         "X/4DJ/OpjM2SBn4rWtPlHvkojZpzfwuCmOb/F/ftRXPYtBGgTb16v2azdI52/9OaUr7hZh\n"
         "U+sW9gOdnkXW0F3I3x1bA+4kPIddxn6z2N4r01exvQtfiMJZxXwhHt8vqLNjTjG57d+GVH\n"
         "r2qeYdyq0dTo0siC+pKwtM7ouv9SbGptsjcBuAnB0N/FWAghuX2JYhgHdxRWfIsJ+f4jtT\n"
         "VnWZWh6a9rUDCN9xizpR/agSy7DPuyJEdvWvzV6+Gj/j2Vmghfl70VhA8VDBjYWIgoe+5R\n"
         "RwAAAANnaXQAAAAAAAAABnNoYTI1NgAAAZQAAAAMcnNhLXNoYTItNTEyAAABgN3a6MCjoE\n"
         "TOdbU/NtkhpHbI21kwPrNAB9hJuygX+MRCRIJrSERyd06A09pKUUKh1shVSgy2lTBk7QoV\n"
         "gwqo9SV4JFoAHHazEpml7cJEqWZRfeW26Z1AZYf3kHGUvO95vx2BnI9DOYm7J5mMEJdlaN\n"
         "jLgLEyctQ5TICvhAypu11AU4zifSJE6fSiBoWET1vT8TKbn0BJo1o+V4DktlUB+jyRPCJA\n"
         "c97m/7WfyBmTKtMYVjewbqLtsdPCdVgqt2uhovGk9h7D2CdZm/XG73i6PNyBeVc6umxbn0\n"
         "1o2Ffe0RC9R1rNbFtXts5Ypw5SNCKvbkc2QRSYRmO/oABMSNQcbl8IxiPj1D3JVrHBSOl0\n"
         "KjtFYnWNoUmJ8EWKQe6KrOSejF8IIGz2qRgqfd0bLCcGFryDQAbl1tEp+Gq7QuCsvBnnLD\n"
         "M27+fAhwDbIt9ICIQhRpSanJDm0bwWP9CbKZNLJivofaqDXAP+ZmEfIO3nk/iovzCmI5mu\n"
         "FMQaRh5JR79Ajw==\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa1024 sha512",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCoTKIEteWCZhYC4c8w0pbinpxaTnpNOwmzWoAePrt7"
         "HIy8dlSKJUj4UIFC1lAdypnfFh3F5X0zjv2mRuNAH8YnnrLkRrQ3gJgUOG2LcFlvb0/5sXCrYxyyug3t"
         "3j6Ufm7ceDJAgdXthpAnl+TynRJyd8TSFh1QucALVg+311AJQQ==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAJcAAAAHc3NoLXJzYQAAAAMBAAEAAACBAKhMogS15YJmFgLhzzDSlu\n"
         "KenFpOek07CbNagB4+u3scjLx2VIolSPhQgULWUB3Kmd8WHcXlfTOO/aZG40AfxieesuRG\n"
         "tDeAmBQ4bYtwWW9vT/mxcKtjHLK6De3ePpR+btx4MkCB1e2GkCeX5PKdEnJ3xNIWHVC5wA\n"
         "tWD7fXUAlBAAAAA2dpdAAAAAAAAAAGc2hhNTEyAAAAlAAAAAxyc2Etc2hhMi01MTIAAACA\n"
         "LjRXylNQaHmXts6KzwvtFC6/wx7sOtHLo957H8QHW0bwQwEVMpCcZS9+uC5UETfffdgfHx\n"
         "xTemmUkHknv6DZ8EXepyD4UGYEfVy1pH4MAjh9LO4YM8o105qNDmibMw43uNWom2mAKzM/\n"
         "N3dRPQpEkXGBLOEXatDrLCzGdIlvPCY=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"rsa1024 sha256",
         "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCoTKIEteWCZhYC4c8w0pbinpxaTnpNOwmzWoAePrt7"
         "HIy8dlSKJUj4UIFC1lAdypnfFh3F5X0zjv2mRuNAH8YnnrLkRrQ3gJgUOG2LcFlvb0/5sXCrYxyyug3t"
         "3j6Ufm7ceDJAgdXthpAnl+TynRJyd8TSFh1QucALVg+311AJQQ==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAJcAAAAHc3NoLXJzYQAAAAMBAAEAAACBAKhMogS15YJmFgLhzzDSlu\n"
         "KenFpOek07CbNagB4+u3scjLx2VIolSPhQgULWUB3Kmd8WHcXlfTOO/aZG40AfxieesuRG\n"
         "tDeAmBQ4bYtwWW9vT/mxcKtjHLK6De3ePpR+btx4MkCB1e2GkCeX5PKdEnJ3xNIWHVC5wA\n"
         "tWD7fXUAlBAAAAA2dpdAAAAAAAAAAGc2hhMjU2AAAAlAAAAAxyc2Etc2hhMi01MTIAAACA\n"
         "F10CaXWbFqwYQkiP1PnNeiwbnD+zx5W4v7vF1whfiWk/b8zlXfty0bBFjQsPcOumzGz3vW\n"
         "fT5zbWGvQBtq4QDMQHsKvvbnWJ+EAJ90WvBNQdgeDEQMbfI1/Blf4iMnedtN14c/XQYfSt\n"
         "63jbeB6JV4gjyxPtM6pk37gDq5FIv9k=\n"
         "-----END SSH SIGNATURE-----\n"},
        {"sk-ed25519",
         "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFEWeg/IF"
         "T9Q+zmDVlCRA4ayahcMrlncinlrQLZIuBGaAAAABHNzaDo=",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAgURZ6D8\n"
         "gVP1D7OYNWUJEDhrJqFwyuWdyKeWtAtki4EZoAAAAEc3NoOgAAAANnaXQAAAAAAAAABnNo\n"
         "YTUxMgAAAGcAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAABAapI2ohIenZqAOT\n"
         "61SDTRmIcs6GZ6QW2ybTbMd/Pg0rqtIjeAIg3v38XzIobMR+NvNxRhANY43DBRHoyc8Wvh\n"
         "AgEAAAAF\n"
         "-----END SSH SIGNATURE-----\n"},
        {"sk-ecdsa",
         "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNza"
         "C5jb20AAAAIbmlzdHAyNTYAAABBBPupy4LTfryJIehAfpk3FrhlJ9VCLpO6qzPF4toO571GxNgQOtW5q"
         "1qoVn3Zn2h9NAXqh6QX6OdJdEfQfeGr8UoAAAAEc3NoOg==",
         "-----BEGIN SSH SIGNATURE-----\n"
         "U1NIU0lHAAAAAQAAAH8AAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3NoLmNvbQ\n"
         "AAAAhuaXN0cDI1NgAAAEEE+6nLgtN+vIkh6EB+mTcWuGUn1UIuk7qrM8Xi2g7nvUbE2BA6\n"
         "1bmrWqhWfdmfaH00BeqHpBfo50l0R9B94avxSgAAAARzc2g6AAAAA2dpdAAAAAAAAAAGc2\n"
         "hhNTEyAAAAdwAAACJzay1lY2RzYS1zaGEyLW5pc3RwMjU2QG9wZW5zc2guY29tAAAASAAA\n"
         "ACA20GxLEuvyCvi8RFo27N5wt90oOZ9Deyw/FMcPMs15DQAAACAIEsOuYS0KWZ5BVW21dn\n"
         "5FuNPr7obkBc80huVgbSX4xQEAAAAF\n"
         "-----END SSH SIGNATURE-----\n"},
};

/* By the first key, for another purpose than git. */
static const char other_purpose[] =
        "-----BEGIN SSH SIGNATURE-----\n"
        "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgnJR4WO1yra5ZmlNrVywpC9LZU7\n"
        "oYHIb9r3vPcZA2PksAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx\n"
        "OQAAAEArtnvGBhvMMzxi90dnLw22DSbawhDwnlUQEoa//PNqw8yQSsLmFk6thKJW7CLTC5\n"
        "b41IO7Ve7qSHMiGgM4iRQN\n"
        "-----END SSH SIGNATURE-----\n";

#endif
